"""What every epoch says of itself, against sums written out."""

import csv
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import NOISES, config, pictures

from dindic_models.batches import Batches
from dindic_models.config import make_model, seed_of
from dindic_models.history import evaluate, noise_row, write_csv
from dindic_models.objective import convention_gap
from disentangle_indicators import indicators

CPU = torch.device("cpu")
NUMBER = 23
every = pytest.mark.parametrize("noise", NOISES)


def batches(n=NUMBER):
    return Batches(pictures(max(n, 1)), np.arange(n), CPU, torch.float64)


def made(noise, **changes):
    """A model in float64 whose posteriors and noise are not those it starts with."""
    settings = config(precision="float64", **NOISES[noise], **changes)
    model = make_model(settings, (1, 8, 8))
    with torch.no_grad():
        model.encoder.head.weight[:2] *= 100
        model.encoder.head.weight[1] += model.encoder.head.weight[0]
        model.encoder.head.bias[2:] -= 4
        x = batches().at(np.arange(NUMBER))
        model.noise.absorb(model.noise.statistics(x, model.decode(model.encode(x)[0])))
    return model, settings


@every
@pytest.mark.parametrize("batch", [500, 23, 5])
def test_every_column_by_hand(noise, batch):
    model, settings = made(noise, beta=3.0)
    row = evaluate(model, batches(), settings, batch=batch)
    x = torch.from_numpy(pictures(NUMBER) / np.float32(255)).double()
    with torch.no_grad():
        mean, logvar = model.encode(x)
        generator = torch.Generator().manual_seed(seed_of(settings.seed, "evaluation"))
        e = torch.randn(1, NUMBER, 2, generator=generator, dtype=torch.float64)[0]
        g = model.decode(mean + (0.5 * logvar).exp() * e)
        log_likelihood = model.noise.log_prob(x, g).numpy()
        residuals = (x - model.noise.mean(g)).numpy()
        sigma2 = 3 * float(model.noise.variance())
    kl = (0.5 * (mean**2 + logvar.exp() - 1 - logvar)).sum(1).numpy()
    squared = (residuals**2).sum((1, 2, 3))
    other = -0.5 * (squared / sigma2 + 64 * math.log(2 * math.pi * sigma2)) - kl
    one_variance = noise in ("fixed", "learned", "closed form")
    expected = {
        "evlb": np.mean(log_likelihood - kl),
        "evlb_at_normalised_variance": np.mean(other) if one_variance else math.nan,
        "log_likelihood": np.mean(log_likelihood),
        "squared_error": np.mean(squared) / 64,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(row[name], value, rtol=1e-11, err_msg=name)
    found = indicators(mean.numpy(), logvar.exp().numpy())
    for name in (
        "kl_posterior_prior",
        "mutual_information",
        "kl_aggregate_prior",
        "kl_q_star_prior",
    ):
        np.testing.assert_allclose(row[name], getattr(found, name), rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(row["kl_posterior_prior"], kl.mean(), rtol=1e-10)
    c = np.cov(np.c_[mean.numpy()].T, bias=True) + np.diag(logvar.exp().mean(0).numpy())
    total = 0.5 * (np.log(np.diag(c)).sum() - np.linalg.slogdet(c)[1])
    np.testing.assert_allclose(row["gaussian_total_correlation"], total, rtol=1e-9)
    assert total > 0.01
    assert found.used > 0
    assert row["used"] == found.used
    assert all(isinstance(value, float) for value in row.values())
    assert list(row) == [
        *expected,
        "kl_posterior_prior",
        "mutual_information",
        "kl_aggregate_prior",
        "kl_q_star_prior",
        "gaussian_total_correlation",
        "used",
    ]


@pytest.mark.parametrize("beta", [0.25, 1.0, 10.0])
def test_the_two_conventions_of_figure_4_differ_by_the_gap(beta):
    """Where sigma^2 is the mean squared residual, as in section 7.2.2 (erratum E22)."""
    model, settings = made("learned", beta=beta)
    for _ in range(2):
        row = evaluate(model, batches(), settings)
        with torch.no_grad():
            model.noise.log_sigma.fill_(0.5 * math.log(row["squared_error"]))
    row = evaluate(model, batches(), settings)
    gap = row["evlb"] - row["evlb_at_normalised_variance"]
    np.testing.assert_allclose(gap, convention_gap(64, beta), rtol=1e-10, atol=1e-9)


def test_the_model_is_left_as_it_was():
    model, settings = made("learned")
    for training in (True, False):
        model.train(training)
        before = {name: t.clone() for name, t in model.state_dict().items()}
        torch.manual_seed(0)
        evaluate(model, batches(), settings)
        assert model.training is training
        assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
        drawn = torch.rand(1)
        torch.manual_seed(0)
        assert torch.equal(drawn, torch.rand(1))


def test_the_codes_depend_on_the_seed_alone():
    model, settings = made("fixed")
    row = evaluate(model, batches(), settings)
    assert evaluate(model, batches(), settings) == row
    other = evaluate(model, batches(), config(seed=1, precision="float64", **NOISES["fixed"]))
    assert other["evlb"] != row["evlb"]
    assert other["kl_posterior_prior"] == row["kl_posterior_prior"]


@every
def test_one_image_and_none(noise):
    model, settings = made(noise)
    assert math.isfinite(evaluate(model, batches(1), settings)["evlb"])
    assert evaluate(model, batches(0), settings) == {}


@pytest.mark.parametrize("part", ["mean", "logvar"])
def test_posteriors_that_are_not_finite_are_no_row(part):
    model, settings = made("learned")
    with torch.no_grad():
        model.encoder.head.bias[3 if part == "logvar" else 1] = 1e4 if part == "logvar" else np.inf
    with pytest.raises(FloatingPointError, match="a posterior is not finite"):
        evaluate(model, batches(), settings)


@every
def test_what_is_said_of_the_noise(noise):
    model, settings = made(noise, beta=4.0)
    row = noise_row(model, settings)
    sigma2 = float(model.noise.variance().detach())
    assert (row.pop("sigma2"), row.pop("normalised_variance")) == (sigma2, 4 * sigma2)
    assert list(row) == (["effective_components"] if noise == "mog" else [])
    assert all(1 <= value <= 3 for value in row.values())


def test_csv(tmp_path):
    path = tmp_path / "history.csv"
    write_csv(path, [{"epoch": 1, "a": 0.1 + 0.2}, {"epoch": 2, "a": math.nan, "b": 3.0}])
    assert path.read_bytes().count(b"\r") == 0
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [
        {"epoch": "1", "a": repr(0.1 + 0.2), "b": ""},
        {"epoch": "2", "a": "nan", "b": "3.0"},
    ]
    write_csv(path, [])
    assert path.read_text() == "\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["history.csv"]
