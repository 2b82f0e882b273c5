"""Pairwise mutual information of codes: laws, closed forms, scikit-learn."""

import numpy as np
import pytest
from golden import arrays, records
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score as of_labels
from strategies import encodings, rngs

from disentangle_indicators.unsupervised import mutual_info_score, pairwise_information


@given(encodings(min_n=2), st.integers(1, 25))
def test_scikit_learn_agrees(encoding, bins):
    codes, _ = encoding
    d = codes.shape[1]
    cells = [np.digitize(z, np.histogram(z, bins)[1][:-1]) for z in codes.T]
    expected = np.array([[of_labels(a, b) for b in cells] for a in cells])
    found = pairwise_information(codes, protocol="locatello2019", bins=bins)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-12)
    value = mutual_info_score(codes, protocol="locatello2019", bins=bins)
    off = expected[~np.eye(d, dtype=bool)]
    assert value == pytest.approx(off.mean() if d > 1 else 0, abs=1e-12)


@given(encodings(min_d=2), rngs)
@pytest.mark.parametrize("protocol", ["default", "locatello2019"])
def test_order_scale_and_shift_do_not_matter(protocol, encoding, rng):
    codes, _ = encoding
    d = codes.shape[1]
    expected = mutual_info_score(codes, protocol=protocol)
    moved = codes[:, rng.permutation(d)] * 2.0 ** rng.integers(-5, 6, size=d)
    found = mutual_info_score(moved[rng.permutation(len(codes))], protocol=protocol)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 <= expected <= np.log(20) + 1e-12


def test_outliers_move_no_bins_of_equal_counts():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2000, 1)) + 0.3 * rng.normal(size=(2000, 2))
    with_outliers = codes.copy()
    with_outliers[:2] = [[1e3, -1e3], [-1e3, 1e3]]
    default, width = (
        mutual_info_score(with_outliers, protocol=protocol)
        / mutual_info_score(codes, protocol=protocol)
        for protocol in ("default", "locatello2019")
    )
    assert default > 0.95
    assert width < 0.5


def test_bias_of_independent_latents():
    codes = np.random.default_rng(0).normal(size=(10000, 6))
    assert mutual_info_score(codes) == pytest.approx(19**2 / 20000, rel=0.1)


def test_degenerate_codes():
    assert mutual_info_score(np.random.default_rng(0).normal(size=(10, 1))) == 0
    assert mutual_info_score(np.ones((10, 3))) == 0
    assert mutual_info_score(np.ones((1, 3))) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bins": 0}, "bins must be at least 1; got 0"),
        ({"code_bins": "depth"}, "code_bins must be width or count; got 'depth'"),
        ({"bin": 3}, "no parameter is called 'bin'; there is bins"),
        ({"protocol": "x"}, "protocol must be one of default, locatello2019; got 'x'"),
    ],
)
def test_refused(options, words):
    with pytest.raises(ValueError, match=words):
        mutual_info_score(np.eye(2), **options)


@pytest.mark.parametrize(("name", "value"), records("disentanglement_lib", "mutual_info_score"))
def test_golden(name, value):
    codes, _ = arrays(name, 10000)
    found = mutual_info_score(codes, protocol="locatello2019")
    assert found == pytest.approx(value, abs=1e-9)
