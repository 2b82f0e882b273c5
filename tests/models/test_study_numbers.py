"""The numbers of a study, computed by hand, and the table that shows them."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import config, dataset, pictures, settings_of_torch
from studies import table

from dindic_models import study as module
from dindic_models.batches import Batches
from dindic_models.checkpoint import load
from dindic_models.config import seed_of
from dindic_models.data import rows, some
from dindic_models.grids import GRIDS
from dindic_models.history import evaluate
from dindic_models.objective import convention_gap
from dindic_models.study import Study, measure, run_study
from disentangle_indicators import read_encodings
from disentangle_indicators.aggregate import marginals

pytestmark = pytest.mark.usefixtures("_interruptible", "_settings", "_narrow")


GAUSSIAN = ("fixed", "learned")


COLUMNS = [
    *["run", "noise", "sigma2_given", "beta", "latents", "seed", "epochs", "seconds", "device"],
    *["sigma2", "normalised_variance", "squared_error", "evlb", "evlb_at_normalised_variance"],
    *["kl_posterior_prior", "mutual_information", "largest_mutual_information_per_latent"],
    *["kl_aggregate_prior", "kl_q_star_prior", "mutual_information_via_q_star"],
    *["largest_mutual_information_per_latent_via_q_star", "gaussian_total_correlation"],
    *["total_information", "total_kl_prior", "used", "used_exact", "normal_variance"],
    *["normal_variance_used", "images"],
]


LATENTS = [
    *["run", "latent", "second_moment", "mutual_information_per_latent"],
    *["mutual_information_per_latent_via_q_star", "information", "kl_prior"],
]


def well_trained():
    """Runs of all noises and different beta that use some of their latents and not others."""
    usual = {"epochs": 8, "lr": 2e-2, "latents": 3}
    return {
        "fixed_low": config(noise="fixed", sigma2=0.005, **usual),
        "fixed_high": config(noise="fixed", sigma2=0.03, beta=2.0, **usual),
        "learned": config(noise="learned", **usual),
        "learned_beta_0.1": config(noise="learned", beta=0.1, **usual),
        "learned_beta_7": config(noise="learned", beta=7.0, **usual),
        "closed_form": config(noise="learned", closed_form=True, beta=0.5, **usual),
        "double": config(noise="learned", precision="float64", **usual),
        "mog": config(noise="mog", components=3, beta=0.5, **usual),
        "network": config(noise="network", beta=0.5, **usual),
    }


DATA = dataset(pictures(400), labels=np.arange(400))


NAMES = pytest.mark.parametrize("name", well_trained())


OF_ONE_VARIANCE = pytest.mark.parametrize(
    "name", [name for name, c in well_trained().items() if c.noise in GAUSSIAN]
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A study whose models have learned something."""
    folder = tmp_path_factory.mktemp("measured")
    with settings_of_torch():
        return run_study(well_trained(), DATA, folder)


def arrays(study, name):
    """Means and variances of the test images, float64, from the file."""
    found = read_encodings(study.folder / "encodings" / f"{name}.safetensors")
    parts = [(np.asarray(m, float), np.asarray(v, float)) for m, v in found.batches()]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def test_the_models_are_not_all_alike(measured):
    """So that the tests below can fail: some latents are used, some normal, some both."""
    counts = {
        n: (r["used"], r["used_exact"], r["normal_variance"]) for n, r in measured.rows.items()
    }
    assert len(set(counts.values())) > 3, counts
    for k in range(3):
        assert len({found[k] for found in counts.values()}) > 1, counts
    assert any(0 < row["normal_variance_used"] < 3 for row in measured.rows.values())


def test_a_row_for_every_model_and_every_latent(measured):
    lines = table(measured.folder / "results.csv")
    assert [line["run"] for line in lines] == list(well_trained())
    assert list(lines[0]) == COLUMNS
    latents = table(measured.folder / "latents.csv")
    assert list(latents[0]) == LATENTS
    pairs = [(line["run"], int(line["latent"])) for line in latents]
    assert pairs == [(name, h) for name in well_trained() for h in range(3)]


def test_every_column_is_documented():
    text = f"{measure.__doc__} {Study.__doc__} {module.Measured.__doc__}"
    for column in COLUMNS:
        named = f"``{column}``" in text
        definition = column.removeprefix("largest_") in (
            *["kl_posterior_prior", "mutual_information", "mutual_information_per_latent"],
            *["kl_aggregate_prior", "kl_q_star_prior", "mutual_information_via_q_star"],
            "mutual_information_per_latent_via_q_star",
        )
        about = column in ("run", "sigma2_given", "latents", "total_information", "total_kl_prior")
        assert named or definition or about, column


@NAMES
def test_rows_hold_settings_and_finite_numbers(measured, name):
    (line,) = [x for x in table(measured.folder / "results.csv") if x["run"] == name]
    settings = well_trained()[name]
    assert (line["noise"], float(line["beta"])) == (settings.noise, settings.beta)
    assert (line["latents"], line["seed"], line["epochs"]) == ("3", "0", "8")
    assert line["images"] == "40"
    assert line["device"].startswith("CPU")
    assert float(line["seconds"]) > 0
    empty = {column for column, value in line.items() if value == ""}
    expected = set() if settings.noise == "fixed" else {"sigma2_given"}
    expected |= set() if settings.noise in GAUSSIAN else {"evlb_at_normalised_variance"}
    assert empty == expected
    words = {"run", "noise", "device", *empty}
    assert all(math.isfinite(float(line[column])) for column in set(line) - words)


@NAMES
def test_tables_and_the_study_say_the_same(measured, name):
    """Every digit in results.csv, six in latents.csv."""
    (line,) = [x for x in table(measured.folder / "results.csv") if x["run"] == name]
    row = measured.rows[name]
    assert list(row) == COLUMNS[1:]
    for column, value in row.items():
        if isinstance(value, float) and math.isnan(value):
            assert line[column] == ""
        elif isinstance(value, str):
            assert line[column] == value
        else:
            assert float(line[column]) == value
    content = json.loads(measured.to_json())
    assert content["schema"] == "dindic.study/1"
    assert content["rows"][name].keys() == row.keys()
    assert content["rows"][name]["evlb"] == row["evlb"]


def definitions(mean, var):
    """Definitions 1 to 7 as they are written in section 6.2 and appendix B.1, in nats."""
    s = np.mean(mean**2 + var, axis=0)
    to_prior = 0.5 * (mean**2 + var - 1 - np.log(var))
    to_q_star = 0.5 * (np.log(s / var) + (mean**2 + var) / s - 1)
    q_star_to_prior = 0.5 * (s - 1 - np.log(s))
    first, third = to_prior.mean(0).sum(), to_q_star.mean(0)
    second, fifth = third.sum(), q_star_to_prior.sum()
    seventh = to_prior.mean(0) - q_star_to_prior
    return {
        "kl_posterior_prior": first,
        "mutual_information": second,
        "largest_mutual_information_per_latent": third.max(),
        "kl_aggregate_prior": first - second,
        "kl_q_star_prior": fifth,
        "mutual_information_via_q_star": first - fifth,
        "largest_mutual_information_per_latent_via_q_star": seventh.max(),
        "used": (third > 0.5).sum(),
        "normal_variance": (abs(s - 1) <= 0.1).sum(),
        "normal_variance_used": ((abs(s - 1) <= 0.1) & (third > 0.5)).sum(),
        "second_moment": s,
        "mutual_information_per_latent": third,
        "mutual_information_per_latent_via_q_star": seventh,
    }


def of_latents(study, name, column):
    lines = table(study.folder / "latents.csv")
    return [float(line[column]) for line in lines if line["run"] == name]


@NAMES
def test_the_indicators_are_those_of_the_encodings(measured, name):
    """To the rounding of the logarithms and squares of float32, a sum over three latents."""
    close = {"rtol": 1e-9, "atol": 1e-9} if name == "double" else {"rtol": 1e-6, "atol": 1e-6}
    for column, value in definitions(*arrays(measured, name)).items():
        if np.ndim(value):
            np.testing.assert_allclose(
                of_latents(measured, name, column), value, rtol=1e-5, atol=1e-6, err_msg=column
            )
        else:
            found = measured.rows[name][column]
            np.testing.assert_allclose(found, value, err_msg=column, **close)


def exact(mean, var):
    """I(x; z_h) and KL(q(z_h) || p) of a mixture in one dimension, by a fine grid."""
    sd = np.sqrt(var)
    z = np.linspace((mean - 12 * sd).min(), (mean + 12 * sd).max(), 200_001)
    log_q = np.full_like(z, -np.inf)
    for m, v in zip(mean, var, strict=True):
        log_q = np.logaddexp(log_q, -0.5 * ((z - m) ** 2 / v + np.log(2 * np.pi * v)))
    log_q -= np.log(len(mean))
    q, step = np.exp(log_q), z[1] - z[0]
    entropy = -(q * log_q).sum() * step
    cross = 0.5 * np.log(2 * np.pi) + 0.5 * np.mean(mean**2 + var)
    return entropy - np.mean(0.5 * np.log(2 * np.pi * np.e * var)), cross - entropy


@NAMES
def test_exact_information_is_that_of_the_mixture(measured, name):
    mean, var = arrays(measured, name)
    row, found = measured.rows[name], marginals(mean, var)
    pairs = np.array([exact(mean[:, h], var[:, h]) for h in range(3)])
    information, divergence = pairs.T
    np.testing.assert_allclose(row["total_information"], found.information.sum(), rtol=1e-9)
    np.testing.assert_allclose(row["total_kl_prior"], found.kl_prior.sum(), rtol=1e-9)
    np.testing.assert_allclose(row["total_information"], information.sum(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(row["total_kl_prior"], divergence.sum(), rtol=1e-6, atol=1e-6)
    columns = ((information, "information"), (divergence, "kl_prior"))
    for values, column in columns:
        kept = of_latents(measured, name, column)
        np.testing.assert_allclose(kept, values, rtol=1e-5, atol=1e-6)
    assert row["used_exact"] == (information > 0.5).sum()


@NAMES
def test_the_total_correlation_is_that_of_a_gaussian_with_these_moments(measured, name):
    mean, var = arrays(measured, name)
    covariance = np.cov(mean.T, bias=True) + np.diag(var.mean(0))
    value = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    found = measured.rows[name]["gaussian_total_correlation"]
    np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-8)


@NAMES
def test_information_is_bounded_as_the_paper_says(measured, name):
    """Exact I <= Definition 3 for every latent, I <= log n, Definition 4 <= KL(q(z) || p)."""
    row = measured.rows[name]
    third, information = (
        np.array(of_latents(measured, name, column))
        for column in ("mutual_information_per_latent", "information")
    )
    assert (information <= third + 1e-6).all()
    assert (information <= np.log(40)).all()
    assert row["kl_aggregate_prior"] <= row["total_kl_prior"] + 1e-9
    assert row["used_exact"] <= row["used"]
    assert row["normal_variance_used"] <= min(row["normal_variance"], row["used"])


def by_hand(study, name):
    """KL and squared residuals of every test image in float64, with the codes that are drawn."""
    model = load(study.folder / "models" / name).model.double()
    settings = well_trained()[name]
    test = rows(DATA, "test", split="paper", seed=0)
    x = torch.from_numpy(DATA.images[test]).double() / 255
    kind = torch.float64 if settings.precision == "float64" else torch.float32
    generator = torch.Generator().manual_seed(seed_of(settings.seed, "evaluation"))
    e = torch.randn((1, len(test), 3), generator=generator, dtype=kind)[0].double()
    with torch.no_grad():
        mean, logvar = model.encode(x)
        g = model.decode(mean + (0.5 * logvar).exp() * e)
        kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)
        squared = (x - model.noise.mean(g)).square().flatten(1)
    return model, g, kl, squared


@OF_ONE_VARIANCE
def test_the_bound_is_that_of_gaussian_noise(measured, name):
    """In float64 with the same codes: what differs is the rounding of float32, 1e-7 a pixel."""
    row = measured.rows[name]
    model, _, kl, squared = by_hand(measured, name)
    beta, noise = well_trained()[name].beta, model.noise
    sigma2 = noise.sigma2 if row["noise"] == "fixed" else (2 * noise.log_sigma).exp()
    sigma2 = float(sigma2.detach())
    assert row["sigma2"] == pytest.approx(sigma2, rel=1e-6)
    assert row["normalised_variance"] == pytest.approx(beta * sigma2, rel=1e-6)
    if row["noise"] == "fixed":
        assert row["sigma2_given"] == well_trained()[name].sigma2
        assert sigma2 == pytest.approx(row["sigma2_given"], rel=1e-6)
    for column, s in (("evlb", sigma2), ("evlb_at_normalised_variance", beta * sigma2)):
        each = -0.5 * (squared / s + math.log(2 * math.pi * s)).sum(1) - kl
        assert row[column] == pytest.approx(float(each.mean()), rel=1e-5, abs=1e-4), column
    assert row["squared_error"] == pytest.approx(float(squared.mean()), rel=1e-5)
    assert row["kl_posterior_prior"] == pytest.approx(float(kl.mean()), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["mog", "network"])
def test_the_bound_is_that_of_noise_of_many_variances(measured, name):
    row = measured.rows[name]
    model, g, kl, squared = by_hand(measured, name)
    noise, density = model.noise, torch.zeros_like(squared)
    if name == "mog":
        for weight, s in zip(noise.weights, noise.variances, strict=True):
            density += weight * (-0.5 * squared / s).exp() / (2 * math.pi * s).sqrt()
        sigma2 = float((noise.weights * noise.variances).sum())
    else:
        s = noise.floor + g.chunk(2, dim=1)[1].exp().flatten(1)
        density = (-0.5 * squared / s).exp() / (2 * math.pi * s).sqrt()
        sigma2 = float(noise.running[0] / noise.running[1])
    evlb = float((density.log().sum(1) - kl).mean())
    assert row["evlb"] == pytest.approx(evlb, rel=1e-5, abs=1e-4)
    assert math.isnan(row["evlb_at_normalised_variance"])
    assert row["squared_error"] == pytest.approx(float(squared.mean()), rel=1e-5)
    assert row["sigma2"] == pytest.approx(sigma2, rel=1e-6)
    assert row["normalised_variance"] == pytest.approx(0.5 * sigma2, rel=1e-6)


@OF_ONE_VARIANCE
def test_the_two_conventions_differ_by_a_closed_form(measured, name):
    """d/2 (r/s (1/beta - 1) + log beta) for each model; where r = s that of erratum E22."""
    row, pixels = measured.rows[name], 64
    beta, ratio = row["beta"], row["squared_error"] / row["sigma2"]
    gap = pixels / 2 * (ratio * (1 / beta - 1) + math.log(beta))
    found = row["evlb"] - row["evlb_at_normalised_variance"]
    scale = abs(row["evlb"]) + abs(row["evlb_at_normalised_variance"]) + pixels * ratio / beta
    assert found == pytest.approx(gap, abs=1e-6 * scale)
    assert convention_gap(pixels, beta) == pytest.approx(
        gap - pixels / 2 * (ratio - 1) * (1 / beta - 1)
    )
    if beta == 1:
        assert found == pytest.approx(0, abs=1e-6 * scale)


@NAMES
def test_the_encodings_are_those_of_the_test_images(measured, name):
    found = read_encodings(measured.folder / "encodings" / f"{name}.safetensors")
    test = rows(DATA, "test", split="paper", seed=0)
    np.testing.assert_array_equal(found.labels, test)
    assert not set(test) & set(rows(DATA, "train")) | set(test) & set(rows(DATA, "validation"))
    checkpoint = measured.checkpoint(name)
    assert found.metadata["model"] == checkpoint.sha256
    assert found.metadata["data_fingerprint"] == DATA.fingerprint
    x = torch.from_numpy(DATA.images[test] / np.float32(255))
    x = x.double() if name == "double" else x
    with torch.no_grad():
        mean, logvar = checkpoint.model.encode(x)
    mine = measured.encoded(name)
    np.testing.assert_allclose(mine[0], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mine[1], logvar.exp(), rtol=1e-5)


def test_all_test_images_are_measured_or_some_of_them_at_random(tmp_path, measured):
    found = measure(measured.checkpoint("learned"), DATA, tmp_path / "a.safetensors", images=7)
    chosen = some(rows(DATA, "test"), 7, seed=0)
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.safetensors").labels, chosen)
    assert found.row["images"] == 7
    mean, var = (
        values[np.isin(rows(DATA, "test"), chosen)] for values in arrays(measured, "learned")
    )
    first = definitions(mean, var)["kl_posterior_prior"]
    assert found.row["kl_posterior_prior"] == pytest.approx(first, rel=1e-5)
    judged = evaluate_on(measured.checkpoint("learned"), chosen)
    assert found.row["evlb"] == judged["evlb"]


def evaluate_on(checkpoint, chosen):
    batches = Batches(DATA.images, chosen, torch.device("cpu"))
    return evaluate(checkpoint.model, batches, checkpoint.config)


def test_images_of_the_split_that_the_model_was_trained_on(tmp_path):
    """Another random split, and the official parts, have other test images."""
    data = dataset(
        pictures(60),
        labels=np.arange(60),
        official={"train": np.arange(40), "test": np.arange(45, 60)},
    )
    configs = {
        "paper": config(epochs=1),
        "other": config(epochs=1, split_seed=5),
        "official": config(epochs=1, split="official"),
    }
    study = run_study(configs, data, tmp_path)
    for name, settings in configs.items():
        test = rows(data, "test", split=settings.split, seed=settings.split_seed)
        found = read_encodings(tmp_path / "encodings" / f"{name}.safetensors")
        np.testing.assert_array_equal(found.labels, test)
        assert study.rows[name]["images"] == len(test)


def test_no_test_images_no_row(tmp_path):
    study = run_study({"a": config(epochs=1)}, dataset(pictures(3)), tmp_path)
    assert study.rows == {}
    assert "there are no images to encode" in study.failed["a"]


def test_the_table_says_epochs_device_and_units(measured):
    text = " ".join(repr(measured).split())
    assert "9 models of array, 8 epochs, trained on CPU" in text
    assert "measured on 40 test images" in text
    assert "squared pixel units" in text
    assert "nats an image" in text
    for name, row in measured.rows.items():
        assert name in text
        assert f"{row['mutual_information']:.1f}" in text
        assert f"{row['evlb']:.0f}" in text
    assert "nan" not in text
    assert measured.to_markdown().count("\n| learned") == 3


@pytest.mark.parametrize("name", GRIDS)
def test_names_and_numbers_of_all_runs_fit_in_the_table(measured, name):
    """With bounds as those of real images are."""
    rows = {}
    for run, own in GRIDS[name].items():
        like = {"fixed": "fixed_low"}.get(own["noise"], own["noise"])
        rows[run] = measured.rows[like] | {"evlb": -12345.6}
        if own["noise"] in GAUSSIAN:
            rows[run]["evlb_at_normalised_variance"] = 1234.5
    latents = dict.fromkeys(rows, measured.latents["learned"])
    lines = repr(replace(measured, rows=rows, latents=latents)).splitlines()
    for run, row in rows.items():
        (line,) = [line for line in lines if line.strip().startswith(f"{run} ")]
        assert f"{row['mutual_information']:.1f}" in line
        assert "-12346" in line
        assert ("1234" in line.replace("-12346", "")) == (row["noise"] in GAUSSIAN)


def test_the_paper_is_quoted_where_it_prints_a_number(tmp_path):
    configs = {
        name: config(epochs=1, beta=b) for name, b in (("learned_beta_10", 10.0), ("a", 2.0))
    }
    study = run_study(configs, dataset(name="mnist"), tmp_path)
    table = study.blocks()[-1]
    (line,) = table.rows
    assert table.title == "Printed in the paper"
    assert line[:3] == ("learned_beta_10", "βσ²", "0.112")
    assert float(line[3]) == pytest.approx(
        study.rows["learned_beta_10"]["normalised_variance"], 1e-2
    )


def test_epochs_of_runs_that_differ_are_a_range(tmp_path):
    configs = {"a": config(epochs=1), "b": config(epochs=3, beta=2.0)}
    text = repr(run_study(configs, dataset(), tmp_path))
    assert "2 models of array, 1 to 3 epochs, trained on" in text
