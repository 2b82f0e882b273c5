"""Random rows of encodings, and what is computed of them."""

import numpy as np
import pytest

from disentangle_indicators import Encodings, _drawn, _sections, score
from disentangle_indicators._drawn import drawn
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.supervised import MetricOptions, evaluate


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.integers(4, size=(n, 2))
    return factors - 1.5 + 0.3 * rng.normal(size=(n, 2)), np.full((n, 2), 0.1), factors


def test_what_belongs_to_a_row_goes_with_it():
    column = np.arange(500)
    mean = np.c_[column, -column] + 0.0
    whole = {"factors": column % 7, "labels": column, "clusters": column // 2}
    encodings = Encodings.of(mean, 1 + mean**2, **whole, name="a", prior_mean=1.0, prior_var=4.0)
    some, chosen, note = drawn(encodings, 60, 3)
    assert (some.n, some.name, note) == (60, "a", "60 random rows of 500")
    assert len(np.unique(chosen)) == 60
    np.testing.assert_array_equal(some.mean, (mean[chosen] - 1) / 2)
    np.testing.assert_array_equal(some.var, (1 + mean[chosen] ** 2) / 4)
    np.testing.assert_array_equal(some.labels, chosen)
    np.testing.assert_array_equal(some.clusters, chosen // 2)
    np.testing.assert_array_equal(some.factors.values[:, 0], chosen % 7)
    np.testing.assert_array_equal(drawn(encodings, 60, 3).rows, chosen)
    assert np.any(drawn(encodings, 60, 4).rows != chosen)
    alone = drawn(Encodings.of(mean), 60, 3).encodings
    assert alone.means_only
    np.testing.assert_array_equal(alone.mean, mean[chosen])


def test_all_rows_are_taken_where_they_are_few(monkeypatch):
    encodings = Encodings.of(*rows(50)[:2])
    for number in (None, 50, 51):
        assert drawn(encodings, number, 0) == (encodings, None, "")
    monkeypatch.setattr(_drawn, "MANY", 49)
    monkeypatch.setattr(_drawn, "SOME", 30)
    assert drawn(encodings, None, 0).encodings.n == 30
    with pytest.raises(ValueError, match="rows must be positive; got 0"):
        drawn(encodings, 0, 0)


def test_axes_of_some_rows_are_those_of_these_rows_alone():
    mean, var, _ = rows(2000)
    found = axes(mean, var, rows=300, rng=1)
    chosen = drawn(Encodings.of(mean, var), 300, 1).rows
    alone = axes(mean[chosen], var[chosen], rng=1)
    assert found.n == 300
    assert "300 random rows of 2000" in str(found)
    assert found.pairs[0].to_dict() == alone.pairs[0].to_dict()
    assert found.provenance.parameters["rows"] == 300


def test_the_error_of_an_audited_score_is_that_of_drawing_rows():
    """The score is an average, with the error 1 / sqrt(rows); one of ten groups is 24% off."""
    mean = np.random.default_rng(0).normal(size=(20_000, 2))
    audits = [
        audit_rotations(
            lambda z, factors, rng: float(np.mean(z[:, 0])),
            mean, mean, rows=400, rotations=2, search=False, rng=seed,
        )
        for seed in range(40)
    ]  # fmt: skip
    ratio = np.array([audit.score_se for audit in audits]) * np.sqrt(400)
    assert abs(ratio.mean() - 1) < 5 * 0.24 / np.sqrt(len(audits))
    assert all(abs(audit.score) < 5 / np.sqrt(400) for audit in audits)
    text = " ".join(str(audits[0]).split())
    assert "400 random rows of 20000" in text
    assert f"the standard error of the score over rows is {audits[0].score_se:.2g}" in text
    assert audit_rotations("mig", *rows(60)[::2], rotations=2, search=False).score_se is None


def test_an_audit_of_some_rows_keeps_factors_beside_their_codes():
    mean, _, factors = rows(5000)
    audit = audit_rotations("mig", mean, factors, rows=500, rotations=2, search=False)
    assert (audit.n, audit.score > 0.5) == (500, True)


def test_metrics_see_random_rows_where_all_do_not_fit(monkeypatch):
    mean, var, factors = rows(1500)
    options = MetricOptions("mig", permutations=3, halves=4)
    monkeypatch.setattr(_sections, "HELD", 2 * 1500 - 1)
    monkeypatch.setattr(_sections, "OF_METRICS", 400)
    encodings = Encodings.of(mean, var, factors=factors)
    card = score(encodings, metrics=options, joint=False)
    alone = evaluate(drawn(encodings, 400, 0).encodings, options, rng=0)
    found = card.metrics.metrics["mig@default"]
    assert (found.n, found.value) == (400, alone.metrics["mig@default"].value)
    assert "400 random rows of 1500" in " ".join(str(card).split())
    monkeypatch.setattr(_sections, "HELD", 2 * 1500)
    assert score(encodings, metrics=options, joint=False).metrics.metrics["mig@default"].n == 1500
