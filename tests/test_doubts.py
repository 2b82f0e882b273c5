"""What the report asks about arrays that no trained encoder gives, and of no other ones."""

import re

import numpy as np
import pytest

from disentangle_indicators import read_encodings, score

ROOT = "examples/data/mnist_vae.npz"


def trained(d=6, n=400, used=3, beta=1.0, seed=0):
    """Posteriors like those of a trained VAE: means about 0, widths below the prior's."""
    rng = np.random.default_rng(seed)
    width = np.where(np.arange(d) < used, rng.uniform(0.02, 0.6, d), 1.0)
    logvar = np.log(width) + 0.1 * width * rng.normal(size=(n, d)) - 0.005
    return rng.normal(size=(n, d)) * np.sqrt(1 - width), logvar


def asked(mean, **width):
    return score(mean, **width, marginals=False).verdict.get("CHECK", "")


@pytest.mark.parametrize("used", [0, 1, 6])
@pytest.mark.parametrize("d", [1, 2, 6, 100])
def test_right_arrays_are_not_questioned(d, used):
    for seed in range(3):
        mean, logvar = trained(d, used=used, seed=seed)
        assert asked(mean, logvar=logvar) == ""
        assert asked(mean, var=np.exp(logvar)) == ""
        assert asked(mean) == ""


def test_a_real_model_is_not_questioned():
    encodings = read_encodings(ROOT)
    assert "CHECK" not in score(encodings).verdict


@pytest.mark.parametrize("wrong", ["var", "std", "tiny"])
def test_a_variance_called_a_logarithm_is_questioned(wrong):
    mean, logvar = trained()
    values = {"var": np.exp(logvar), "std": np.exp(logvar / 2), "tiny": np.exp(logvar - 9)}[wrong]
    text = asked(mean, logvar=values)
    assert text.startswith("Every posterior is wider than the prior: is the logvar a variance or")


def test_wide_variances_are_questioned():
    mean, logvar = trained()
    text = asked(mean, var=np.exp(logvar) + 1)
    assert text.startswith("Every posterior is wider than the prior: is the var on another scale,")
    assert score(mean * 9, var=np.exp(logvar) * 81, prior_var=81.0).verdict.get("CHECK") is None


@pytest.mark.parametrize(("factor", "hint"), [(1e3, False), (1e5, True), (1e36, True)])
def test_codes_that_diverged_are_questioned(factor, hint):
    mean, logvar = trained()
    mean[:, 2] *= factor
    assert ("codes of latent 2 are" in asked(mean, logvar=logvar)) == hint
    assert score(mean * 9, logvar=logvar, prior_var=factor**2).verdict.get("CHECK") is None


def test_huge_numbers_are_written_short():
    mean, logvar = trained()
    text = str(score(mean * 1e36, logvar=logvar))
    assert re.search(r"\d{10}", text) is None


@pytest.mark.parametrize("used", [1, 6])
def test_swapped_arrays_are_questioned(used):
    mean, logvar = trained(used=used)
    assert "were the means and the logvar swapped?" in asked(logvar, logvar=mean)


@pytest.mark.parametrize(("n", "d", "hint"), [(16, 300, True), (300, 16, False), (20, 30, False)])
def test_transposed_arrays_are_questioned(n, d, hint):
    mean, logvar = trained(d, n)
    text = "are the arrays transposed? If so, pass mean.T and logvar.T."
    assert (text in asked(mean, logvar=logvar)) is hint


def test_the_question_opens_the_report():
    card = score(*[np.zeros((20, 100))], var=np.ones((20, 100)))
    assert [*card.verdict] == ["CHECK", "USED", "PRIOR", "TRUST"]
    assert str(card).index("CHECK") < str(card).index("USED")
    assert card.to_dict()["verdict"]["CHECK"] == card.verdict["CHECK"]


def test_covariances_of_very_many_latents_are_left_out(monkeypatch):
    mean, logvar = trained(6)
    whole = pytest.approx(score(mean, logvar=logvar).gaussian_total_correlation)
    for module in ("_sections", "_sources"):
        monkeypatch.setattr(f"disentangle_indicators.{module}.WIDE", 5)
    for width in ({"mean": mean, "logvar": logvar}, {"batches": [(mean, np.exp(logvar))]}):
        card = score(**width)
        assert card.gaussian_total_correlation is None
        left_out = "of 6 latents it takes about 0 s and 0.1 GB; covariance=True computes it"
        assert card.reasons["covariance"] == left_out
        assert "Indicators of the covariance are left out: of 6 latents it takes" in str(card)
        assert score(**width, covariance=True).gaussian_total_correlation == whole
    assert "covariance" not in score(mean).reasons


def test_a_covariance_is_left_out_or_computed_as_asked(caplog, monkeypatch):
    mean, logvar = trained(6)
    card = score(mean, logvar=logvar, covariance=False)
    assert card.gaussian_total_correlation is None
    assert card.reasons["covariance"] == "it was not asked for"
    assert caplog.messages == []
    monkeypatch.setattr("disentangle_indicators._sections.WIDE", 5)
    score(mean, logvar=logvar, covariance=True)
    said = "estimated for 400 rows and 6 latents: the covariance about 0 s and 0.1 GB"
    assert caplog.messages == [said]


def test_few_rows_of_16384_latents_take_little(monkeypatch):
    """Neither d^2 numbers nor a grid of each latent are made; the clock is not read here."""
    monkeypatch.setattr("disentangle_indicators.aggregate.one_pass_marginals", None)
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(24, 16384))
    card = score(mean, var=np.full(mean.shape, 0.1))
    assert sorted(card.reasons) == ["covariance", "joint", "marginals"]
    assert "of 16384 latents it takes about 59 min and 17.2 GB" in card.reasons["covariance"]
    assert card.moments.scatter is None
    assert card.mutual_information > 0
