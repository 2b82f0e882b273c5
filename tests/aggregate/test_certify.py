"""Certain bounds of I(x; z): a double loop, I itself by quadrature, and estimates from rows."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import encodings, random_encodings, rngs, seeds, to

from disentangle_indicators._array import generator
from disentangle_indicators.aggregate import Certificate, certify
from disentangle_indicators.aggregate import _certify as certify_module


def both(mean, var):
    """The two bounds, (n,) each, by a double loop over the formulas of Kolchinsky and Tracey."""
    n = len(mean)
    low, high = np.empty(n), np.empty(n)
    for i in range(n):
        b, k = np.empty(n), np.empty(n)
        for j in range(n):
            square, v = (mean[i] - mean[j]) ** 2, var[i] + var[j]
            b[j] = np.sum(
                0.25 * square / v
                + 0.5 * np.log(v / 2)
                - 0.25 * np.log(var[i])
                - 0.25 * np.log(var[j])
            )
            k[j] = 0.5 * np.sum((var[i] + square) / var[j] - 1 + np.log(var[j] / var[i]))
        low[i], high[i] = -np.log(np.mean(np.exp(-b))), -np.log(np.mean(np.exp(-k)))
    return low, high


def information(mean, var):
    """I of a mixture of one latent, by trapezoids of a quarter of the least deviation: to 1e-9."""
    mean, sd = mean[:, 0], np.sqrt(var[:, 0])
    z = np.arange(np.min(mean - 9 * sd), np.max(mean + 9 * sd), sd.min() / 4)
    q = np.zeros_like(z)
    for m, s in zip(mean, sd, strict=True):
        q += np.exp(-0.5 * ((z - m) / s) ** 2) / (s * np.sqrt(2 * np.pi) * len(mean))
    entropy = -np.sum(q * np.log(np.maximum(q, 1e-300))) * (z[1] - z[0])
    return entropy - np.mean(0.5 * np.log(2 * np.pi * np.e) + np.log(sd))


@given(data=encodings(max_n=40))
def test_against_a_double_loop(xp, data):
    """To 1e-7, the error of an exponent that is left as it is."""
    low, high = both(*data)
    ours = certify(*to(xp, *data))
    assert ours.low == pytest.approx(low.mean(), abs=1e-9)
    assert ours.high == pytest.approx(high.mean(), abs=1e-7)
    assert ours.certain
    assert ours.standard_errors == {}
    assert (ours.n, ours.d) == data[0].shape
    assert ours.rows == ours.n


@given(seed=seeds, n=st.integers(1, 40), width=st.floats(-7, 1))
def test_information_is_in_between(seed, n, width):
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, 1)) + 3 * rng.integers(0, 3, size=(n, 1))
    var = np.exp(width + rng.normal(size=(n, 1)))
    ours, exact = certify(mean, var), information(mean, var)
    assert 0 <= ours.low <= exact + 1e-7
    assert exact - 1e-7 <= ours.high <= np.log(n) + 1e-7


@pytest.mark.parametrize("n", [1, 2, 700])
def test_collapsed(xp, n):
    ours = certify(*to(xp, np.full((n, 3), 0.7), np.full((n, 3), 2.0)))
    assert ours.low == pytest.approx(0.0, abs=1e-9)
    assert ours.high == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("n", [2, 700])
@pytest.mark.parametrize("d", [1, 3])
def test_separated(xp, n, d):
    mean = np.arange(n)[:, None] + np.zeros(d)
    ours = certify(*to(xp, mean, np.full((n, d), 1e-4)))
    assert ours.low == pytest.approx(np.log(n), abs=1e-9)
    assert ours.high == pytest.approx(np.log(n), abs=1e-9)


def test_the_divergence_is_of_the_row_from_the_others():
    """Two narrow posteriors within a wide one: transposed divergences give another number."""
    mean, var = np.zeros((3, 1)), np.array([[0.1], [0.2], [1.0]])
    kl = 0.5 * (var / var.T - 1 + np.log(var.T / var))
    right, transposed = (-np.log(np.exp(-k).mean(axis=1)).mean() for k in (kl, kl.T))
    assert abs(right - transposed) > 0.01
    assert certify(mean, var).high == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("d", [7, 8, 9, 16, 40])
def test_many_latents_of_extreme_variances(d):
    """No product of variances leaves the range of float64, and no warning is given."""
    rng = np.random.default_rng(d)
    var = np.exp(rng.uniform(np.log(1e-12), np.log(1e3), size=(1, d)) + rng.normal(size=(30, d)))
    mean = 0.5 * np.sqrt(var) * rng.normal(size=(30, d))
    low, high = both(mean, var)
    ours = certify(mean, var)
    assert 0 < low.mean() < np.log(30)
    assert ours.low == pytest.approx(low.mean(), abs=1e-9)
    assert ours.high == pytest.approx(high.mean(), abs=1e-7)
    for extreme in (1e-60, 1e-12, 1e3, 1e60):
        same = certify(mean * math.sqrt(extreme), var * extreme)
        assert same.low == pytest.approx(ours.low, abs=1e-9)
        assert same.high == pytest.approx(ours.high, abs=1e-7)


def test_variances_of_one_latent_from_1e_12_to_1e3():
    rng = np.random.default_rng(1)
    var = np.exp(rng.uniform(np.log(1e-12), np.log(1e3), size=(60, 40)))
    mean = np.sqrt(var) * rng.normal(size=(60, 40))
    low, high = both(mean, var)
    ours = certify(mean, var)
    assert ours.low == pytest.approx(low.mean(), abs=1e-9)
    assert ours.high == pytest.approx(high.mean(), abs=1e-7)


@given(data=encodings(min_n=2, max_n=60, max_d=4), rng=rngs)
def test_order_units_and_copies_do_not_matter(data, rng):
    mean, var = data
    ours = certify(mean, var)
    order, scale = rng.permutation(len(mean)), np.exp(rng.uniform(-3, 3, mean.shape[1]))
    for x, v in (
        (mean[order], var[order]),
        (mean * scale - 1, var * scale**2),
        (np.tile(mean, (3, 1)), np.tile(var, (3, 1))),
    ):
        other = certify(x, v)
        assert other.low == pytest.approx(ours.low, abs=1e-7)
        assert other.high == pytest.approx(ours.high, abs=2e-7)


@given(seed=seeds, side=st.integers(4, 80), memory=st.sampled_from([1, 1 << 14, 1 << 30]))
def test_blocks_do_not_matter(seed, side, memory):
    """Nor whether a pair is seen once or twice."""
    mean, var = random_encodings(np.random.default_rng(seed), 70, 3)
    low, high = both(mean, var)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certify_module, "_SIDE", side)
        ours = certify(mean, var, memory=memory)
        every = np.arange(70)
        apart = certify_module._overlaps(mean, var, every, False, None)
    assert ours.low == pytest.approx(low.mean(), abs=1e-9)
    assert ours.high == pytest.approx(high.mean(), abs=1e-7)
    assert np.log(70) - np.log(apart) == pytest.approx(low, abs=1e-9)


@given(data=encodings(min_n=3, max_n=40), rng=rngs, seed=seeds)
def test_some_rows_against_all(xp, data, rng, seed):
    """The mean and its error are those of as many rows, drawn without replacement."""
    mean, var = data
    rows = int(rng.integers(1, len(mean)))
    ours = certify(*to(xp, *data), rows=rows, rng=seed)
    picked = generator(seed).permutation(len(mean))[:rows]
    assert not ours.certain
    assert ours.rows == rows
    for value, error, all_rows in zip(
        (ours.low, ours.high),
        (ours.standard_errors["low"], ours.standard_errors["high"]),
        both(mean, var),
        strict=True,
    ):
        some = all_rows[picked]
        assert value == pytest.approx(some.mean(), abs=1e-7)
        if rows == 1:
            assert error == np.inf
        else:
            assert error == pytest.approx(some.std(ddof=1) / np.sqrt(rows), abs=1e-7)


def test_all_rows_are_certain():
    mean, var = random_encodings(np.random.default_rng(3), 50, 3)
    every = certify(mean, var).own_fields()
    assert certify(mean, var, rows=50).own_fields() == every
    assert certify(mean, var, rows=51, rng=9).own_fields() == every


def test_errors_are_what_replication_shows():
    """100 of 500 rows: sqrt(1 - 1/5) = 0.89 of what independent rows would show, +- 5 errors."""
    rng = np.random.default_rng(4)
    mean, var = rng.normal(size=(500, 2)), 0.3 * np.exp(rng.normal(size=(500, 2)))
    full = certify(mean, var)
    some = [certify(mean, var, rows=100, rng=seed) for seed in range(200)]
    for name in ("low", "high"):
        values = np.array([getattr(s, name) for s in some])
        errors = np.array([s.standard_errors[name] for s in some])
        sd = values.std(ddof=1)
        assert abs(values.mean() - getattr(full, name)) <= 5 * sd / np.sqrt(200)
        kurtosis = np.mean(((values - values.mean()) / sd) ** 4)
        spread = 5 * np.sqrt((kurtosis - 1) / 800)
        assert abs(sd / errors.mean() - np.sqrt(0.8)) <= spread < 0.35


def test_the_seed_decides():
    mean, var = random_encodings(np.random.default_rng(5), 60, 2)
    one = certify(mean, var, rows=10, rng=3)
    assert certify(mean, var, rows=10, rng=3).to_dict() == one.to_dict()
    drawn = certify(mean, var, rows=10, rng=generator(3))
    assert drawn.own_fields() == one.own_fields()
    assert (one.provenance.seed, drawn.provenance.seed) == (3, None)
    assert certify(mean, var, rows=10, rng=4).low != one.low


def test_progress_is_told():
    seen = []

    def bar(items, label, length):
        seen.append((label, length, len(list(items))))
        return items

    mean = np.zeros((1100, 1))
    assert certify(mean, mean + 1, progress=bar).low == pytest.approx(0, abs=1e-9)
    assert seen == [("certificate", 3, 3)]


@pytest.mark.parametrize(
    ("mean", "var", "rows", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 2)), None, "var must be positive"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), None, r"mean must be finite; mean\[0, 0\]"),
        (np.zeros((3, 2)), np.full((3, 2), np.inf), None, "var must be finite"),
        (np.zeros((3, 2)), np.ones((2, 2)), None, "the same shape"),
        (np.zeros((2, 3, 2)), np.ones((2, 3, 2)), None, r"the shape \(n, d\)"),
        (np.zeros((0, 2)), np.ones((0, 2)), None, "no rows"),
        (np.zeros((3, 2)), np.ones((3, 2)), 0, "rows must be at least 1; got 0"),
    ],
)
def test_bad_input(mean, var, rows, message):
    with pytest.raises(ValueError, match=message):
        certify(mean, var, rows=rows)


def test_as_json_and_as_a_table():
    mean, var = random_encodings(np.random.default_rng(6), 40, 2)
    certain, some = certify(mean, var), certify(mean, var, rows=8)
    read = json.loads(certain.to_json())
    assert read["schema"] == Certificate.schema == "dindic.certificate/1"
    assert set(read) == {"schema", *Certificate.__dataclass_fields__}
    assert read["low"] == certain.low
    assert f"{certain.low:.3f} to {certain.high:.3f}" in repr(certain)
    assert "all pairs of the 40 rows, no sampling" in repr(certain)
    assert "±" not in repr(certain)
    assert "not certain" in repr(some)
    assert "8 of 40 rows" in some.to_markdown()
    assert f"{some.low:.3f} ± {some.standard_errors['low']:.3f}" in some.to_markdown()
    one = json.loads(certify(mean, var, rows=1).to_json())
    assert one["standard_errors"] == {"low": None, "high": None}


def test_copies_change_no_bound():
    """Rows need not be independent: the mixture of copies is that of the rows."""
    rng = np.random.default_rng(20)
    mean, var = rng.normal(size=(40, 3)), np.exp(rng.normal(-2, 1, size=(40, 3)))
    once, many = certify(mean, var), certify(np.repeat(mean, 5, 0), np.repeat(var, 5, 0))
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=1e-9)
    part = certify(np.repeat(mean, 5, 0), np.repeat(var, 5, 0), rows=100, rng=0)
    assert abs(part.low - once.low) <= 5 * part.standard_errors["low"]
    assert abs(part.high - once.high) <= 5 * part.standard_errors["high"]
