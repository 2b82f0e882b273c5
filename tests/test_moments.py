"""Moments: any split gives the whole, any array is read as its numbers, bad input is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cut, encodings, merge_in_any_order, random_encodings, rngs, to

from disentangle_indicators import Moments, indicators
from disentangle_indicators._array import to_numpy
from disentangle_indicators._sums import log_sum

FIELDS = ("mean", "mean_scatter", "var", "log_var", "co_scatter", "scatter")


def direct(mean, var):
    """All fields from centred differences, in extended precision where the machine has it."""
    mean, var = np.asarray(mean, dtype=np.longdouble), np.asarray(var, dtype=np.longdouble)
    log_var = np.log(var)
    x = mean - mean.mean(axis=0)
    # u - average u, without ever squaring the offset
    v = x * x + 2 * mean.mean(axis=0) * x + var
    v, w = v - v.mean(axis=0), log_var - log_var.mean(axis=0)
    return {
        "mean": mean.mean(axis=0),
        "mean_scatter": np.sum(x * x, axis=0),
        "var": var.mean(axis=0),
        "log_var": log_var.mean(axis=0),
        "co_scatter": np.stack([np.sum(a * b, axis=0) for a, b in ((v, v), (v, w), (w, w))]),
        "scatter": x.T @ x,
    }


def allowances(mean, var):
    """What an error in each field is measured by: sums of the magnitudes that enter it.

    For the average that is the spread of the means about it, not its own size.
    """
    n = len(mean)
    wanted = direct(mean, var)
    sd = np.sqrt(np.mean(mean.astype(np.float64) ** 2 + var, axis=0))
    u = np.sqrt(wanted["co_scatter"][0] / n + np.mean(mean.astype(np.float64) ** 2 + var, 0) ** 2)
    w = np.sqrt(np.mean(np.log(var.astype(np.float64)) ** 2, axis=0)) + 1
    spread = np.sqrt(wanted["mean_scatter"])
    return {
        "mean": sd,
        "mean_scatter": wanted["mean_scatter"] + 1e-300,
        "var": wanted["var"],
        "log_var": w,
        "co_scatter": n * np.stack([u * u, u * w, w * w]),
        "scatter": np.outer(spread, spread) + 1e-300,
    }


def assert_equal(moments, wanted, allowance, tolerance):
    for name in FIELDS:
        ours = np.asarray(getattr(moments, name), dtype=np.longdouble)
        error = np.max(np.abs(ours - wanted[name]) / allowance[name])
        assert error <= tolerance, f"{name} is off by {float(error):.3g}"


def exact_bits(moments):
    return [np.asarray(getattr(moments, name)).tobytes() for name in FIELDS]


@given(data=encodings())
def test_every_field_is_what_it_says(xp, data):
    moments = Moments.of(*to(xp, *data), covariance=True)
    assert moments.n == len(data[0])
    wanted, allowance = direct(*data), allowances(*data)
    # about a mean of at most 8 standard deviations, squares lose at most 64 eps
    assert_equal(moments, wanted, allowance | {"mean_scatter": square(data)}, 1e-13)


def square(data):
    mean = data[0]
    return np.sum(mean * mean, axis=0) + 1e-300


@given(data=encodings(min_n=2), rng=rngs, parts=st.integers(2, 8))
def test_any_split_in_any_order_gives_the_whole(xp, data, rng, parts):
    mean, var = to(xp, *data)
    slices = cut(rng, len(data[0]), parts)
    pieces = [Moments.of(mean[s, :], var[s, :], covariance=True) for s in slices]
    merged = merge_in_any_order(rng, pieces)
    assert merged.n == len(data[0])
    assert_equal(merged, direct(*data), allowances(*data) | {"mean_scatter": square(data)}, 1e-13)


@given(data=encodings(min_n=2), rng=rngs, parts=st.integers(1, 8))
def test_a_split_gives_the_whole_at_1e8(xp, data, rng, parts):
    """A mean of 1e8 is stored to 1.5e-8, and so a difference of two means is known to no more.

    Scatter matrices that the differences enter are known to that over the standard deviation.
    """
    mean, var = data
    mean = mean / np.exp(3) + 1e8 * rng.choice([-1.0, 1.0], mean.shape[1])
    slices = cut(rng, len(mean), parts)
    x, v = to(xp, mean, var)
    pieces = [Moments.of(x[s, :], v[s, :], covariance=True) for s in slices]
    merged = merge_in_any_order(rng, pieces)
    wanted = direct(mean, var)
    ulp = np.spacing(1e8)
    sd = np.sqrt(wanted["mean_scatter"] / len(mean)) + ulp
    w = np.sqrt(wanted["co_scatter"][2] / len(mean)) + 1e-8
    cross = 8 * parts * len(mean) * 1e8 * ulp
    u = 2e8 * sd + np.sqrt(wanted["co_scatter"][0] / len(mean))
    n, logs = len(mean), np.max(np.abs(np.log(var)), axis=0)
    tolerances = {
        "mean": 2 * parts * ulp + 0 * sd,
        "mean_scatter": 4 * parts * n * ulp * sd,
        "var": 1e-13 * wanted["var"],
        "log_var": 1e-13 * (1 + np.abs(logs)),
        "co_scatter": np.stack([cross * u, cross * w, 1e-13 * n * (1 + np.abs(logs)) ** 2]),
        "scatter": 4 * parts * n * ulp * np.add.outer(sd, sd),
    }
    assert_equal(merged, wanted, tolerances, 1.0)


def test_u_and_log_var_may_go_opposite_ways(xp):
    """Wide posteriors at the origin, a narrow one far out: their covariance is negative."""
    mean, var = np.array([[0.0], [0.0], [10.0]]), np.exp(np.array([[1.0], [1.0], [0.0]]))
    u, log_var = (mean**2 + var).ravel(), np.log(var).ravel()
    wanted = 3 * np.cov(u, log_var, bias=True)[0, 1]
    assert wanted < -60
    assert float(Moments.of(*to(xp, mean, var)).co_scatter[1, 0]) == pytest.approx(wanted)


@given(data=encodings(min_n=2), rng=rngs)
def test_the_merge_commutes(xp, data, rng):
    mean, var = to(xp, *data)
    a, b = (Moments.of(mean[s, :], var[s, :], covariance=True) for s in cut(rng, len(data[0]), 2))
    allowance = allowances(*data) | {"mean_scatter": square(data)}
    assert_equal(
        a + b, {name: np.asarray(getattr(b + a, name)) for name in FIELDS}, allowance, 1e-14
    )


def test_of_batches_is_the_sum(xp):
    rng = np.random.default_rng(0)
    mean, var = random_encodings(rng, 300, 4)
    x, v = to(xp, mean, var)
    slices = cut(rng, 300, 7)
    merged = Moments.of_batches(((x[s, :], v[s, :]) for s in slices), covariance=True)
    assert merged.n == 300
    assert_equal(merged, direct(mean, var), allowances(mean, var), 1e-12)
    parts = [Moments.of(x[s, :], v[s, :], covariance=True) for s in slices]
    assert exact_bits(merged) == exact_bits(sum(parts[1:], parts[0]))


def test_only_what_both_hold_is_merged():
    mean, var = random_encodings(np.random.default_rng(0), 10, 2)
    rich, poor = Moments.of(mean, var, covariance=True), Moments.of(mean, var, errors=False)
    for both in (rich + poor, poor + rich):
        assert both.co_scatter is None
        assert both.scatter is None
        assert both.log_var == pytest.approx(rich.log_var, rel=1e-14)


def test_what_does_not_add_up():
    one = Moments.of(np.zeros((3, 2)), np.ones((3, 2)))
    other = Moments.of(np.zeros((3, 4)), np.ones((3, 4)))
    with pytest.raises(
        ValueError, match=r"same latents add up; their shapes are \(2,\) and \(4,\)"
    ):
        one + other
    with pytest.raises(TypeError):
        one + 1
    with pytest.raises(ValueError, match="no batch to summarise"):
        Moments.of_batches([])
    with pytest.raises(ValueError, match="ask for covariance=True"):
        _ = one.covariance


@given(data=encodings())
def test_properties_follow_from_the_fields(xp, data):
    mean, var = data
    moments = Moments.of(*to(xp, *data), covariance=True)
    n = len(mean)
    second = (mean**2 + var).mean(axis=0)
    assert np.asarray(moments.second_moment) == pytest.approx(second, rel=1e-13)
    variance = np.var(mean, axis=0) + var.mean(axis=0)
    allowed = 1e-13 * second
    assert np.all(np.abs(np.asarray(moments.variance) - variance) <= allowed)
    unbiased = np.var(mean, axis=0, ddof=1) if n > 1 else np.zeros_like(second)
    assert np.all(np.abs(np.asarray(moments.mean_variance) - unbiased) <= 2 * allowed)
    covariance = np.atleast_2d(np.cov(mean.T, bias=True)) + np.diag(var.mean(axis=0))
    allowed = np.sqrt(np.outer(allowed, allowed))
    assert np.all(np.abs(np.asarray(moments.covariance) - covariance) <= allowed)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e5])
@pytest.mark.parametrize("n", [37, 1000, 30_000])
def test_float32_is_summed_in_float64(xp, n, offset):
    """Against the same numbers in float64: 1e-6 of the magnitudes that are summed.

    A sum of 64 numbers in float32 is off by 64 x 6e-8 = 4e-6 of their magnitudes at worst, and by
    8 x 6e-8 = 5e-7 if its roundings are random; the sums of 64 are added in float64. Products of
    two latents are summed over up to 4096 rows: 64 x 6e-8 = 4e-6.
    """
    rng = np.random.default_rng(n)
    mean = (rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + offset).astype(np.float32)
    var = rng.lognormal(-3, 1, size=(n, 5)).astype(np.float32)
    moments = Moments.of(*to(xp, mean, var), covariance=True)
    wanted = direct(mean, var)
    sd = np.sqrt(wanted["mean_scatter"] / n)
    allowance = allowances(mean, var)
    deviation = np.sqrt(wanted["co_scatter"][0] / n)
    w = np.sqrt(np.mean(np.log(var.astype(np.float64)) ** 2, axis=0))
    u = deviation + (np.mean(mean.astype(np.float64) ** 2 + var, 0) if offset == 0 else 0)
    allowance |= {"mean": sd, "co_scatter": n * np.stack([u * u, u * w, w * w])}
    allowance["scatter"] = 4 * allowance["scatter"]
    assert_equal(moments, wanted, allowance, 1e-6)
    assert all(getattr(moments, name).dtype == xp.float64 for name in FIELDS)


def test_the_drift_of_an_offset_does_no_harm_in_float32(xp):
    """The first rows say nothing about the others."""
    mean = np.linspace(1000, 2000, 5000, dtype=np.float32)[:, None]
    var = np.full((5000, 1), 0.5, dtype=np.float32)
    moments = Moments.of(*to(xp, mean, var), covariance=True)
    assert_equal(moments, direct(mean, var), allowances(mean, var), 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit(xp, dtype):
    mean, var = random_encodings(np.random.default_rng(1), 20_011, 6)
    x, v = to(xp, mean.astype(dtype), var.astype(dtype))
    one, two, three = (
        exact_bits(Moments.of(x, v, covariance=True, threads=threads)) for threads in (1, 2, 3)
    )
    assert one == two == three


def test_leading_axes_are_separate_problems(xp):
    rng = np.random.default_rng(2)
    pairs = [random_encodings(rng, 130, 3) for _ in range(6)]
    mean, var = (np.stack(x).reshape(2, 3, 130, 3) for x in zip(*pairs, strict=True))
    mean[0, 1] += 1e6
    moments = Moments.of(*to(xp, mean, var), covariance=True)
    assert tuple(moments.scatter.shape) == (2, 3, 3, 3)
    assert tuple(moments.co_scatter.shape) == (2, 3, 3, 3)
    for i in np.ndindex(2, 3):
        alone = Moments.of(mean[i], var[i], covariance=True)
        for name in FIELDS:
            ours = np.asarray(getattr(moments, name))[i]
            assert ours == pytest.approx(getattr(alone, name), rel=1e-9), name


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "fortran": np.asfortranarray,
    "byteswapped": lambda x: x.astype(x.dtype.newbyteorder()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_an_array_does_not_matter(layout):
    mean, var = random_encodings(np.random.default_rng(3), 150, 4)
    wanted = Moments.of(mean, var, covariance=True)
    ours = Moments.of(LAYOUTS[layout](mean), LAYOUTS[layout](var), covariance=True)
    for name in FIELDS:
        assert getattr(ours, name) == pytest.approx(getattr(wanted, name), rel=1e-12), name


def test_memory_maps_and_read_only_arrays(tmp_path):
    mean, var = random_encodings(np.random.default_rng(4), 150, 4)
    wanted = exact_bits(Moments.of(mean, var, covariance=True))
    np.save(tmp_path / "mean.npy", mean)
    mapped = np.load(tmp_path / "mean.npy", mmap_mode="r")
    var.flags.writeable = False
    assert exact_bits(Moments.of(mapped, var, covariance=True)) == wanted


def test_lists_and_data_frames():
    pandas = pytest.importorskip("pandas")
    mean, var = random_encodings(np.random.default_rng(5), 20, 3)
    for data in (
        (mean.tolist(), var.tolist()),
        (pandas.DataFrame(mean), pandas.DataFrame(var)),
        (pandas.DataFrame(mean), var),
    ):
        ours = Moments.of(*data, covariance=True)
        assert_equal(ours, direct(mean, var), allowances(mean, var), 1e-12)


def test_integers_and_half_precision_are_read_as_their_numbers(xp):
    mean, var = np.array([[3, -2], [1, 0], [5, 7]]), np.array([[1, 2], [2, 1], [4, 1]])
    wanted = Moments.of(mean.astype(float), var.astype(float), covariance=True)
    ours = Moments.of(*to(xp, mean, var), covariance=True)
    assert exact_bits(ours) == exact_bits(wanted)
    if xp.__name__ != "array_api_strict":
        halves = (array.astype(np.float16) for array in (mean, var))
        ours = Moments.of(*to(xp, *halves), covariance=True)
        for name in FIELDS:
            value = np.asarray(getattr(wanted, name))
            assert np.asarray(getattr(ours, name)) == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_bfloat16_is_read_as_its_numbers():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    mean = torch.tensor([[0.1, -2.0], [1.0, 300.0]], dtype=torch.bfloat16)
    moments = Moments.of(mean, torch.ones_like(mean))
    assert moments.mean.tolist() == pytest.approx(mean.double().mean(0).tolist(), rel=1e-7)


def test_the_input_is_left_as_it_was(xp):
    for offset in (0.0, 1e6):
        data = random_encodings(np.random.default_rng(6), 200, 3)
        mean, var = to(xp, data[0] + offset, data[1])
        before = to_numpy(mean).copy(), to_numpy(var).copy()
        Moments.of(mean, var, covariance=True)
        assert np.array_equal(to_numpy(mean), before[0])
        assert np.array_equal(to_numpy(var), before[1])


def test_tensors_that_require_grad_are_detached():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    mean = torch.ones(5, 2, dtype=torch.float64, requires_grad=True)
    var = torch.full((5, 2), 0.5, dtype=torch.float64, requires_grad=True)
    moments = Moments.of(mean * 2, var, covariance=True)
    assert not any(getattr(moments, name).requires_grad for name in FIELDS)
    assert mean.grad is None
    assert moments.second_moment.tolist() == [4.5, 4.5]


BAD = {
    "nan mean": ("mean", np.nan, r"^mean must be finite; mean\[17, 3\] = nan$"),
    "inf mean": ("mean", np.inf, r"^mean must be finite; mean\[17, 3\] = inf$"),
    "nan var": ("var", np.nan, r"^var must be finite; var\[17, 3\] = nan$"),
    "inf var": ("var", np.inf, r"^var must be finite; var\[17, 3\] = inf$"),
    "negative var": ("var", -0.2, r"^var must be positive.*; var\[17, 3\] = -0\.2$"),
    "zero var": ("var", 0.0, r"^var must be positive.*; var\[17, 3\] = 0$"),
}


@pytest.mark.parametrize("rows", [18, 40, 200])
@pytest.mark.parametrize("errors", [True, False])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_entry_is_named(xp, case, errors, rows):
    name, number, message = BAD[case]
    data = {"mean": np.zeros((rows, 5)), "var": np.ones((rows, 5))}
    data[name][17, 3] = number
    mean, var = to(xp, data["mean"], data["var"])
    with pytest.raises(ValueError, match=message):
        Moments.of(mean, var, errors=errors)
    with pytest.raises(ValueError, match=message.replace("17", "1017")):
        Moments.of(mean, var, errors=errors, first_row=1000)
    good = to(xp, np.zeros((33, 5)), np.ones((33, 5)))
    with pytest.raises(ValueError, match=message.replace("17", "50")):
        Moments.of_batches([good, (mean, var)], errors=errors)


@pytest.mark.parametrize("errors", [True, False])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 128, 200])
def test_log_variances_given_for_variances_are_refused(xp, n, errors):
    """Two negative numbers have a positive product."""
    mean, logvar = to(xp, np.zeros((n, 2)), np.full((n, 2), -3.0))
    with pytest.raises(ValueError, match=r"is this logvar.*; var\[0, 0\] = -3$"):
        Moments.of(mean, logvar, errors=errors)


def test_inputs_that_do_not_fit(xp):
    mean, var = to(xp, np.zeros((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"same shape; got \(3, 2\) and \(2, 2\)"):
        Moments.of(mean, var[:2, :])
    with pytest.raises(ValueError, match=r"must have the shape \(\.\.\., n, d\); .* \(2,\)"):
        Moments.of(mean[0, :], var[0, :])
    with pytest.raises(ValueError, match=r"mean has no rows; its shape is \(0, 2\)"):
        Moments.of(mean[:0, :], var[:0, :])
    with pytest.raises(ValueError, match=r"mean has no latents; its shape is \(3, 0\)"):
        Moments.of(mean[:, :0], var[:, :0])
    with pytest.raises(ValueError, match="^var must hold real numbers"):
        Moments.of(mean, var > 0)
    with pytest.raises(ValueError, match="^mean must hold real numbers"):
        Moments.of(xp.zeros((3, 2), dtype=xp.complex128), var)
    if xp is not np:
        with pytest.raises(ValueError, match="^mean and var must come from one library"):
            Moments.of(np.zeros((3, 2)), var)


def test_squares_beyond_float32_fall_back_on_float64(xp):
    mean = np.array([[1e30, 1.0], [-1e30, 2.0], [3e30, 5.0]], dtype=np.float32)
    var = np.array([[1e30, 1.0], [2e30, 2.0], [3e-30, 5.0]], dtype=np.float32)
    moments = Moments.of(*to(xp, mean, var), covariance=True)
    assert_equal(moments, direct(mean, var), allowances(mean, var), 1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_printed_on_the_way(threads):
    """The sums of u' log v overflow float32, to one sign in the first block and the other later."""
    mean = np.resize([1e19, -1e19], (300_000, 1)).astype(np.float32)
    var = np.repeat([2.0, 0.5], 150_000)[:, None].astype(np.float32)
    moments = Moments.of(mean, var, threads=threads)
    assert moments.second_moment[0] == pytest.approx(1e38, rel=1e-5)


def test_squares_beyond_float64_are_refused(xp):
    mean, var = to(xp, np.array([[1e300, 1.0], [-1e300, 2.0]]), np.ones((2, 2)))
    with pytest.raises(ValueError, match="overflow float64"):
        Moments.of(mean, var)


def test_one_sample(xp):
    moments = Moments.of(*to(xp, np.array([[3.0, 1e8]]), np.array([[0.5, 2.0]])), covariance=True)
    assert moments.n == 1
    wanted = {
        "mean": [3.0, 1e8],
        "mean_scatter": [0.0, 0.0],
        "mean_variance": [0.0, 0.0],
        "scatter": [[0.0, 0.0], [0.0, 0.0]],
        "covariance": [[0.5, 0.0], [0.0, 2.0]],
        "second_moment": [9.5, 1e16 + 2],
    }
    for name, value in wanted.items():
        assert to_numpy(getattr(moments, name)).tolist() == value, name


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_constant_latents_have_no_scatter(xp, value):
    mean, var = to(xp, np.full((1000, 2), value), np.full((1000, 2), 0.3))
    moments = Moments.of(mean, var, covariance=True)
    assert to_numpy(moments.mean).tolist() == [value, value]
    assert to_numpy(moments.mean_scatter).tolist() == [0.0, 0.0]
    assert to_numpy(moments.scatter).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert to_numpy(moments.variance) == pytest.approx([0.3, 0.3], rel=1e-14)


def test_merging_is_frozen():
    moments = Moments.of(np.zeros((3, 2)), np.ones((3, 2)))
    with pytest.raises(AttributeError):
        moments.n = 4


@pytest.mark.parametrize("n", [40, 640, 1000])
@pytest.mark.parametrize("errors", [True, False])
@pytest.mark.parametrize("v", [1e-20, 1e-6, 3e-3, 1e3, 1e6, 1e20])
def test_logs_of_equal_float32_variances_do_not_round_together(v, errors, n):
    """Each sum would round by as much, in one direction."""
    var = np.full((n, 3), v, np.float32)
    found = Moments.of(np.zeros_like(var), var, errors=errors).log_var
    np.testing.assert_allclose(found, np.log(var[0].astype(np.float64)), rtol=0, atol=1.5e-7)


@given(data=encodings(), dtype=st.sampled_from(["float32", "float64"]))
def test_log_sum_is_the_sum_of_logs(xp, data, dtype):
    var = data[1].astype(dtype)
    wanted = np.sum(np.log(var.astype(np.float64)), axis=0)
    scale = np.sum(np.abs(np.log(var.astype(np.float64))), axis=0) + len(var)
    ours = np.asarray(log_sum(xp, *to(xp, var)), dtype=np.float64)
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    assert np.max(np.abs(ours - wanted) / scale) <= tolerance


@pytest.mark.parametrize("number", [1e-300, 1e300])
def test_log_sum_of_extremes(xp, number):
    (values,) = to(xp, np.full((64, 1), number))
    with np.errstate(over="ignore"):  # as in Moments.of, which looks at the result
        ours = float(log_sum(xp, values)[0])
    assert ours == pytest.approx(64 * np.log(number), rel=1e-13)


def test_zero_is_the_summary_of_no_rows():
    moments = Moments.of(np.eye(3), np.ones((3, 3)))
    assert moments + 0 is moments
    assert 0 + moments is moments
    assert sum([moments, moments]).n == 6
    total = 0
    for _ in range(2):
        total += moments
    assert total.n == 6
    for other in (1, None, np.zeros(3), "0"):
        with pytest.raises(TypeError):
            moments + other
        with pytest.raises(TypeError):
            other + moments


def test_repr_is_one_line():
    moments = Moments.of(np.eye(3), np.ones((3, 3)), covariance=True)
    assert repr(moments) == "Moments(n=3, d=3, co_scatter, scatter)"
    assert repr(Moments.of(np.eye(3), np.ones((3, 3)), errors=False)) == "Moments(n=3, d=3)"


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("n", [1, 77, 64 * 9, 5000])
def test_columns_of_tables_are_not_transposed_and_give_the_same_sums(n, offset):
    """Also as slices of a longer table, whose columns lie apart."""
    rng = np.random.default_rng(n)
    table = np.asfortranarray(rng.normal(size=(2, n + 5, 3)) + offset)
    mean, var = table[0][2 : n + 2], np.exp(table[1] - offset)[2 : n + 2]
    found = Moments.of(np.asfortranarray(mean), np.asfortranarray(var), covariance=True)
    wanted = Moments.of(np.ascontiguousarray(mean), np.ascontiguousarray(var), covariance=True)
    for name, value in vars(wanted).items():
        size = np.max(np.abs(value)) + offset**2
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=1e-11 * size * n)


@pytest.mark.parametrize("scale", [1e-1, 1e-2, 1e-3])
def test_errors_of_quiet_latents_survive_float32(scale):
    """u is nearly 1 in all rows; what varies is in the last digits of its square."""
    rng = np.random.default_rng(0)
    mean = (scale * rng.normal(size=(2000, 1))).astype(np.float32)
    var = ((1 - scale**2) * np.exp(scale**2 * rng.normal(size=(2000, 1)))).astype(np.float32)
    found, exact = (
        indicators(mean.astype(kind), var.astype(kind)).standard_errors for kind in ("f4", "f8")
    )
    for name in ("mutual_information_per_latent", "kl_posterior_prior_per_latent"):
        # what varies is of the size of scale^2, and float32 rounds at 6e-8 of 1
        assert found[name] == pytest.approx(exact[name], rel=max(1.2e-7 / scale**2, 1e-5))
