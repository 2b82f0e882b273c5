"""The public edge: which arrays are taken, how scales are read, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import encodings, to

from disentangle_indicators import _array


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float16", "float32"),
        ("int32", "float64"),
        ("uint8", "float64"),
        ("longdouble", "float64"),
    ],
)
def test_numbers_become_floats(dtype, wanted):
    values = np.arange(6, dtype=dtype).reshape(3, 2)
    array = _array.as_array(values, "mean")
    assert array.dtype == wanted
    assert np.array_equal(array, values)


def test_torch_half_precision_becomes_float32():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for dtype in (torch.bfloat16, torch.float16):
        assert _array.as_array(torch.ones(2, 2, dtype=dtype), "mean").dtype == torch.float32
    for dtype in (torch.int64, torch.uint8):
        assert _array.as_array(torch.ones(2, 2, dtype=dtype), "mean").dtype == torch.float64


def test_a_float_array_is_not_copied(xp):
    (values,) = to(xp, np.ones((3, 2)))
    assert _array.as_array(values, "mean") is values or np.shares_memory(
        np.asarray(_array.as_array(values, "mean")), np.asarray(values)
    )
    assert np.shares_memory(_array.to_numpy(values), np.asarray(values))


def test_a_gradient_is_cut():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    values = torch.ones(3, 2, requires_grad=True)
    array = _array.as_array(values, "mean")
    assert not array.requires_grad
    assert values.requires_grad
    assert array.data_ptr() == values.data_ptr()


@pytest.mark.parametrize(
    "values", [[[1j]], [[True]], [["a"]], [[None]], [[{}]], np.array([["2020"]], dtype="M8[D]")]
)
def test_what_is_no_real_number_is_refused(values):
    with pytest.raises(ValueError, match="^mean must hold real numbers; its dtype is "):
        _array.as_array(values, "mean")


@pytest.mark.parametrize("dtype", ["bool", "complex128"])
def test_bool_and_complex_are_refused_everywhere(xp, dtype):
    (values,) = to(xp, np.ones((2, 2), dtype=dtype))
    with pytest.raises(
        ValueError, match=r"^var must hold real numbers; its dtype is .*(bool|128)"
    ):
        _array.as_array(values, "var")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"^mean must have the shape \(\.\.\., n, d\); its shape is \(\)$"),
        ((3,), r"^mean must have the shape \(\.\.\., n, d\); its shape is \(3,\)$"),
        ((0, 2), r"^mean has no rows; its shape is \(0, 2\)$"),
        ((3, 0), r"^mean has no latents; its shape is \(3, 0\)$"),
    ],
)
def test_shapes_that_are_refused(xp, shape, message):
    with pytest.raises(ValueError, match=message):
        _array.as_mean(*to(xp, np.ones(shape)))


def test_pairs_that_do_not_belong_together(xp):
    mean, var = to(xp, np.ones((3, 2)), np.ones((2, 3)))
    message = r"^mean and std must have the same shape; got \(3, 2\) and \(2, 3\)$"
    with pytest.raises(ValueError, match=message):
        _array.as_pair(mean, var, "std")
    with pytest.raises(ValueError, match=r"same shape; got \(3, 2\) and \(3, 1\)$"):
        _array.as_pair(mean, mean[:, :1])


def test_two_libraries_are_one_too_many():
    strict = pytest.importorskip("array_api_strict")
    message = "^mean and var must come from one library; got numpy and array_api_strict"
    with pytest.raises(ValueError, match=message):
        _array.as_pair(np.ones((3, 2)), strict.ones((3, 2)))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (np.nan, r"^var must be finite; var\[17, 3\] = nan$"),
        (np.inf, r"^var must be finite; var\[17, 3\] = inf$"),
        (-np.inf, r"^var must be finite; var\[17, 3\] = -inf$"),
        (-0.2, r"^var must be positive \(negative .* is this logvar .*\); var\[17, 3\] = -0\.2$"),
        (0.0, r"^var must be positive \(an exact zero is an underflow.*\); var\[17, 3\] = 0$"),
    ],
)
def test_the_first_bad_entry_is_named(xp, number, message):
    values = np.ones((40, 5))
    values[17, 3] = values[30, 0] = number
    (array,) = to(xp, values)
    with pytest.raises(ValueError, match=message):
        _array.check_positive(array, "var")
    with pytest.raises(ValueError, match=message.replace("17", "117")):
        _array.check_positive(array, "var", first_row=100)


def test_the_batch_of_a_bad_entry_is_named(xp):
    values = np.ones((2, 3, 4, 5))
    values[1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match=r"mean\[1, 2, 13, 4\] = nan$"):
        _array.check_finite(*to(xp, values), "mean", first_row=10)


@given(data=encodings(max_n=50))
def test_the_four_scales_say_the_same(xp, data):
    _, var = data
    stated = {
        "var": var,
        "std": np.sqrt(var),
        "logvar": np.log(var),
        "logstd": np.log(var) / 2,
    }
    assert set(stated) == set(_array.SCALES)
    for scale, values in stated.items():
        result = np.asarray(_array.variance(*to(xp, values), scale))
        assert result == pytest.approx(var, rel=1e-13), scale


def test_float32_stays_float32_while_its_range_allows(xp):
    logvar = xp.asarray(np.full((2, 2), -60.0, dtype=np.float32))
    assert _array.variance(logvar, "logvar").dtype == xp.float32
    for scale, values, wanted in (
        ("logvar", -200.0, np.exp(-200)),
        ("logvar", 200.0, np.exp(200)),
        ("logstd", -100.0, np.exp(-200)),
        ("std", 1e-30, 1e-60),
        ("std", 1e30, 1e60),
    ):
        array = xp.asarray(np.full((2, 2), values, dtype=np.float32))
        result = _array.variance(array, scale)
        assert result.dtype == xp.float64
        assert np.asarray(result) == pytest.approx(np.full((2, 2), wanted), rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "number", "message"),
    [
        ("var", -1.0, r"var must be positive.*var\[1, 0\] = -1$"),
        ("std", -1.0, r"std must be positive.*std\[1, 0\] = -1$"),
        ("std", 0.0, r"std must be positive.*std\[1, 0\] = 0$"),
        ("logvar", np.inf, r"logvar must be finite; logvar\[1, 0\] = inf$"),
        ("logvar", 701.0, "logvar gives variances outside of 1e-304 to 1e304; .* 0 and 701$"),
        ("logstd", -351.0, "logstd gives variances outside of 1e-304 to 1e304; .* -351 and 0$"),
    ],
)
def test_scales_that_no_encoder_can_mean(xp, scale, number, message):
    values = np.ones((2, 2)) if scale in ("var", "std") else np.zeros((2, 2))
    values[1, 0] = number
    with pytest.raises(ValueError, match=message):
        _array.variance(*to(xp, values), scale)


def test_a_scale_has_one_of_four_names():
    with pytest.raises(ValueError, match="^scale must be one of var, std, .*; got 'sigma'$"):
        _array.variance(np.ones((2, 2)), "sigma")
    assert _array.one_scale() == ("", None)
    assert _array.one_scale(logstd=3) == ("logstd", 3)
    with pytest.raises(ValueError, match="^give one of var, .*; got std, logvar$"):
        _array.one_scale(std=1, logvar=2)


@given(n=st.integers(1, 5000), d=st.integers(1, 300), batch=st.integers(0, 3))
def test_blocks_cover_the_rows_once(n, d, batch):
    array = np.broadcast_to(np.float32(0), (2,) * batch + (n, d))
    slices = list(_array.row_blocks(array))
    rows = [i for s in slices for i in range(s.start, s.stop)]
    assert rows == list(range(n))
    assert all(s.stop > s.start for s in slices)
    assert all((s.stop - s.start) % 64 == 0 for s in slices[:-1])


def test_scalars_and_arrays(xp):
    assert _array.scalar(xp.asarray(2.0)) == 2.0
    assert isinstance(_array.scalar(xp.asarray(2.0)), float)
    assert _array.scalar(xp.asarray(True)) is True
    assert _array.scalar(3) == 3
    array = xp.ones((2,))
    assert _array.scalar(array) is array


def test_masked_arrays_are_refused():
    """A mask would be lost without a word."""
    with pytest.raises(ValueError, match="mean is a masked array"):
        _array.as_array(
            np.ma.masked_array(np.ones((2, 2)), mask=[[True, False], [False, False]]), "mean"
        )
