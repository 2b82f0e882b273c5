"""The joint of all latents: dense quadrature, laws, honest errors, and ranges of known truths."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_cases import correlated, mean_and_error, mixture
from scipy.special import logsumexp
from scipy.stats import norm
from strategies import encodings, rngs, seeds, to

from disentangle_indicators import Encodings, Moments
from disentangle_indicators._array import generator
from disentangle_indicators._brackets import down, up
from disentangle_indicators.aggregate import Joint, _upper_bound, joint, marginals
from disentangle_indicators.aggregate import _joint as joint_module
from disentangle_indicators.aggregate._joint_result import ENDS
from disentangle_indicators.aggregate._marginals import evaluate_arrays
from disentangle_indicators.aggregate._monte_carlo import Controls, draw
from disentangle_indicators.aggregate._upper_bound import mix
from disentangle_indicators.states import is_saturated

NAMES = ("mutual_information", "total_correlation", "kl_aggregate_prior")


def sampled(mean, var, **kwargs):
    """The joint of rows taken as independent, and any upper bound, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_upper_bound, "_STEPS", 1)
        patch.setattr(Encodings, "copies", None)
        return joint(mean, var, **kwargs)


def same(a, b, tolerance):
    """Compare all numbers of two results."""
    for name, value in a.to_dict().items():
        other = b.to_dict()[name]
        if name in ("bound_weights", "standard_errors") or isinstance(value, float):
            assert other == pytest.approx(value, abs=tolerance, rel=tolerance), name


def quadrature(mean, var):
    """I, TC and KL(q || p) of two latents by trapezoids of a quarter of the least deviation."""
    axes, densities = [], []
    for m, v in zip(mean.T, var.T, strict=True):
        sd = np.sqrt(v)
        z = np.arange(np.min(m - 9 * sd), np.max(m + 9 * sd), sd.min() / 4)
        axes.append(z)
        densities.append(norm.pdf(z, m[:, None], sd[:, None]))
    q = densities[0].T @ densities[1] / len(mean)
    area = math.prod(z[1] - z[0] for z in axes)

    def entropy(p, step):
        return -np.sum(p * np.log(np.maximum(p, 1e-300))) * step

    joint_entropy = entropy(q, area)
    own = np.mean(np.sum(0.5 * np.log(2 * np.pi * np.e * var), axis=1))
    each = sum(entropy(p.mean(axis=0), z[1] - z[0]) for p, z in zip(densities, axes, strict=True))
    prior = 0.5 * np.sum(np.log(2 * np.pi) + np.mean(mean**2 + var, axis=0))
    return dict(
        zip(NAMES, (joint_entropy - own, each - joint_entropy, prior - joint_entropy), strict=True)
    )


@given(seed=seeds, n=st.integers(2, 10), width=st.floats(-4, 0))
@settings(max_examples=15)
def test_against_dense_quadrature(seed, n, width):
    """To 5 reported errors, and 3 / points times the most that a point can add.

    What is rarer may not have been seen at all, and q(z) / q_m(z) is at least 1 / n in each latent.
    """
    rng = np.random.default_rng(seed)
    mean, var = rng.normal(size=(n, 2)) * [1, 2], np.exp(width + rng.normal(size=(n, 2)))
    ours = sampled(mean, var, points=400 * n, rng=seed)
    for name, exact in quadrature(mean, var).items():
        allowed = 5 * ours.standard_errors[name] + 3 * max(1, 2 * math.log(n)) / ours.points
        assert abs(getattr(ours, name) - exact) <= allowed, name


def test_many_points_come_nearer():
    """An error of 2e-3, so that quadrature would show a bias of 1e-2."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(20, 2)), 0.1 * np.exp(rng.normal(size=(20, 2)))
    ours = sampled(mean, var, points=40_000, rng=0)
    for name, exact in quadrature(mean, var).items():
        assert ours.standard_errors[name] < 2e-3
        assert abs(getattr(ours, name) - exact) <= 5 * ours.standard_errors[name], name


@pytest.mark.parametrize("n", [1, 2, 300])
def test_collapsed(xp, n):
    """No information in any draw: exact but for rounding, and for the marginals' quadrature."""
    ours = joint(*to(xp, np.full((n, 3), 0.5), np.full((n, 3), 2.0)), points=100, rng=0)
    assert abs(ours.mutual_information) <= 1e-12
    assert ours.mutual_information_low <= 1e-12
    assert abs(ours.total_correlation) <= 1e-7
    assert abs(ours.residual) <= 1e-6
    kl = 3 * 0.5 * (0.25 + 2 - 1 - np.log(2))
    assert ours.kl_aggregate_prior == pytest.approx(kl, abs=1e-6)
    assert ours.kl_aggregate_prior_high == pytest.approx(kl, abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 120])
def test_separated(xp, n):
    mean = np.arange(n)[:, None] * np.array([1.0, 0.3])
    ours = joint(*to(xp, mean, np.full((n, 2), 1e-6)), points=100, rng=0)
    assert ours.mutual_information == pytest.approx(np.log(n), abs=1e-9)
    assert ours.total_correlation == pytest.approx(np.log(n), abs=1e-7)
    assert ours.saturation == pytest.approx(1.0, abs=1e-9)
    assert ours.saturated


@given(data=encodings(max_n=60, max_d=4), seed=seeds)
@settings(max_examples=12)
def test_laws_of_any_encoding(data, seed):
    """0 <= I <= log n, TC >= 0, and Definition 1 is the sum of its parts, within 5 errors."""
    ours = sampled(*data, points=120, rng=seed)
    errors = ours.standard_errors
    slack = 5 * errors["mutual_information"] + 1e-9
    assert -slack <= ours.mutual_information <= np.log(ours.n) + slack
    assert ours.total_correlation >= -5 * errors["total_correlation"] - 1e-6
    assert ours.kl_aggregate_prior == ours.total_correlation + ours.marginals.total_kl_prior
    assert abs(ours.residual) <= 5 * errors["residual"] + 1e-6
    assert errors["residual"] == pytest.approx(
        np.hypot(errors["mutual_information"], errors["total_correlation"])
    )
    assert ours.saturation == pytest.approx(np.exp(ours.mutual_information) / ours.n)
    assert ours.saturated == is_saturated(ours.mutual_information, ours.n)
    assert ours.mutual_information_low == max(ours.mutual_information, 0)
    exact = marginals(*data)
    assert ours.shape == pytest.approx(exact.total_looseness)
    assert np.all(ours.marginals.entropy == exact.entropy)
    assert (
        ours.rest_high + ours.correlation
        == pytest.approx(ours.total_correlation_high, abs=slack + 1e-9)
        or ours.total_correlation_high == 0
    )


@given(rng=rngs, seed=seeds)
@settings(max_examples=10)
def test_all_pairs_of_two_encoders(rng, seed):
    """I adds and TC is 0, without Monte Carlo error: the controls say all there is to say.

    To 1e-6: two latents of a quadrature that is good to 1e-8 each, and its tails.
    """
    mean, var = rng.normal(size=(2, 12)), np.exp(rng.uniform(-4, 0, size=(2, 12)))
    pairs = np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 2)
    x, v = (np.stack([a[h, pairs[:, h]] for h in (0, 1)], axis=1) for a in (mean, var))
    ours = sampled(x, v, points=144, rng=seed)
    one = sum(marginals(mean[h][:, None], var[h][:, None]).total_information for h in (0, 1))
    assert ours.mutual_information == pytest.approx(one, abs=1e-6)
    assert abs(ours.total_correlation) <= 1e-6
    assert ours.standard_errors["mutual_information"] == 1 / 144  # of what is too rare to be seen


def replications(mean, var, points, times):
    """The values and reported errors of many seeds, by name."""
    runs = [sampled(mean, var, points=points, rng=seed) for seed in range(times)]
    return {
        name: (
            np.array([getattr(run, name) for run in runs]),
            np.array([run.standard_errors[name] for run in runs]),
        )
        for name in (*NAMES, "residual")
    }


@pytest.mark.parametrize("points", [100, 150, 400])
def test_errors_are_what_replication_shows(points):
    """Of 150 rows: on the safe side up to n points, and honest from 2n on.

    0.25 is three errors of a standard deviation of 80 values; test_errors_replicated is sharper.
    """
    for values, errors in replications(
        *mixture(np.random.default_rng(1)), points, times=80
    ).values():
        assert 0.7 <= values.std(ddof=1) / errors.mean() <= 1.25


def on_a_grid(seed, spacing):
    """A discrete code of 500 rows on 5 x 5 means, and I(x; z) of its rows by quadrature."""
    mean = spacing * np.random.default_rng(seed).integers(5, size=(500, 2))
    cells, counts = np.unique(mean, axis=0, return_counts=True)
    axes = [np.arange(-1, 4 * spacing + 1, 0.025)] * 2
    density = [norm.pdf(z, cells[:, h, None], 0.1) for h, z in enumerate(axes)]
    q = (density[0].T * counts) @ density[1] / 500
    entropy = -np.sum(q * np.log(np.maximum(q, 1e-300))) * 0.025**2
    return mean, np.full(mean.shape, 0.01), entropy - np.log(2 * np.pi * np.e * 0.01)


def misses(spacing, points, times):
    """The distances to the exact value in errors, and how many runs are called wrong."""
    out, wrong = [], 0
    for seed in range(times):
        mean, var, exact = on_a_grid(seed, spacing)
        run = sampled(mean, var, points=points, rng=seed)
        out.append((run.mutual_information - exact) / run.standard_errors["mutual_information"])
        wrong += "IT IS NOT" in repr(run)
    return np.abs(out), wrong


@pytest.mark.parametrize(
    ("spacing", "points"), [(0.8, 1000), (0.7, 1000), (0.8, 4096), (0.7, 4096)]
)
def test_errors_cover_what_is_too_rare_to_be_drawn(spacing, points):
    """Between the cells of a grid lie few points, or none, and the rest varies hardly."""
    missed, wrong = misses(spacing, points, times=21)
    assert np.max(missed) <= 5
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spacing", "points"),
    [(0.8, 4096), (0.7, 1000), (0.7, 4096), (0.6, 1000), (0.6, 4096)],
)
def test_errors_cover_on_grids(spacing, points):
    missed, wrong = misses(spacing, points, times=100)
    assert np.mean(missed <= 1.96) >= 0.9
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("points", [100, 300])
def test_errors_replicated(points):
    """0.11 is five errors of a standard deviation of 1000 values."""
    for name, (values, errors) in replications(
        *mixture(np.random.default_rng(1)), points, times=1000
    ).items():
        assert 0.7 <= values.std(ddof=1) / errors.mean() <= 1.11, name
        if name == "residual":
            assert abs(values.mean()) <= 5 * values.std() / np.sqrt(1000)


def uneven():
    """Nine tight clusters of copies whose sizes the marginals do not show: rows, cells and I."""
    counts = np.array([[1, 6, 11], [11, 1, 6], [6, 11, 1]])
    cell = np.repeat(np.arange(9), counts.ravel())
    mean = 10.0 * np.stack(np.divmod(cell, 3), axis=1)
    return mean, np.full(mean.shape, 0.01), cell, np.log(54) - np.log(counts.ravel()[cell]).mean()


def test_errors_where_rows_differ_and_points_are_no_multiple_of_n():
    """All variance is between rows."""
    mean, var, _, exact = uneven()
    values, errors = replications(mean, var, 135, times=60)["mutual_information"]
    assert abs(values.mean() - exact) <= 5 * values.std() / np.sqrt(60) + 1e-9
    assert np.sqrt(np.mean((values - exact) ** 2)) <= 1.5 * np.sqrt(np.mean(errors**2)) + 1e-9


def test_what_varies_between_rows_is_no_error_once_all_were_drawn():
    """Nor is it left out of the error as a value of the population, where a cell is one draw."""
    mean, var, cell, exact = uneven()
    once, twice = (sampled(mean, var, points=points, rng=0) for points in (100, 108))
    assert twice.standard_errors["mutual_information"] < 0.02
    assert once.standard_errors["mutual_information"] > 0.03
    assert twice.mutual_information == pytest.approx(exact, abs=0.02)
    whole = joint(mean, var, points=108, rng=0, clusters=cell).standard_errors
    assert whole["mutual_information_low"] > 1.5 * twice.standard_errors["mutual_information_low"]


@pytest.mark.parametrize("points", [200, 400])
def test_controls_reduce_the_error(points):
    """Against the plain mean of the same points, whose value it agrees with."""
    mean, var = mixture(np.random.default_rng(2), n=200)
    ours = sampled(mean, var, points=points, rng=5)
    at = draw(mean, var, points, np.random.default_rng(5))
    exponents = norm.logpdf(at.z[:, None], mean, np.sqrt(var)).sum(axis=2)
    plain = at.log_own.sum(axis=1) - logsumexp(exponents, axis=1) + np.log(200)
    error = plain.std(ddof=1) / np.sqrt(points)
    assert ours.standard_errors["mutual_information"] < 0.7 * error
    assert 0 < abs(ours.mutual_information - plain.mean()) <= 5 * error


@given(data=encodings(min_n=5, max_n=40, max_d=3), rng=rngs)
@settings(max_examples=10)
def test_controls_have_known_means(data, rng):
    """Over the mixture 0, and under each row's posterior what `rows` says, to 5 errors."""
    mean, var = data
    n, moments = len(mean), Moments.of(mean, var, covariance=True)
    at = draw(mean, var, 400 * n, rng)
    exact = evaluate_arrays(mean, var, at.z)
    controls = Controls.of(at, np.log(exact.density), moments, exact, mean, var, np.arange(n))
    size = 1 + np.abs(controls.rows).max(axis=0)
    assert np.all(np.abs(controls.rows.mean(axis=0)) <= 1e-6 * size)
    order = np.argsort(at.rows, kind="stable")
    each = controls.x[order].reshape(n, 400, -1)
    error = each.std(axis=1) / 20
    assert np.all(np.abs(each.mean(axis=1) - controls.rows) <= 6 * error + 1e-6 * size)
    of_mean = np.sqrt(np.sum(error**2, axis=0)) / n
    assert np.all(np.abs(each.mean(axis=(0, 1))) <= 5 * of_mean + 1e-6 * size)
    assert controls.log_prior == pytest.approx(norm.logpdf(at.z).sum(axis=1))


def test_the_seed_decides():
    mean, var = mixture(np.random.default_rng(3), n=60)
    one = joint(mean, var, points=100, rng=4)
    other = joint(mean, var, points=100, rng=generator(4))
    same(one, other, 0)
    assert sampled(mean, var, points=100, rng=5).mutual_information != one.mutual_information


@pytest.mark.parametrize("memory", [1, 1 << 14, 1 << 30])
def test_memory_and_threads_do_not_matter(memory):
    mean, var = mixture(np.random.default_rng(4), n=200)
    same(
        sampled(mean, var, points=100, rng=0, memory=memory, threads=2),
        sampled(mean, var, points=100, rng=0),
        1e-9,
    )


def test_other_namespaces(xp):
    mean, var = mixture(np.random.default_rng(5), n=80)
    same(joint(*to(xp, mean, var), points=100, rng=0), joint(mean, var, points=100, rng=0), 1e-9)


@pytest.mark.parametrize("width", [1.0, 1e-4, 1e-8])
def test_float32(xp, width):
    """Each exponent to 1e-5, and the weights of a regression add up to less than 3."""
    mean, var = mixture(np.random.default_rng(6), n=80)
    wanted = sampled(mean, width * var, points=100, rng=0)
    ours = sampled(*to(xp, mean, width * var), points=100, rng=0, precision="float32")
    for name in NAMES:
        assert abs(getattr(ours, name) - getattr(wanted, name)) <= 3e-5, name


def bimodal(d, noise):
    """Independent latents, each of N(-1.5, .09) or N(1.5, .09)."""
    sd = np.sqrt(0.09 + noise)

    def density(z):
        return 0.5 * (norm.pdf(z, -1.5, sd) + norm.pdf(z, 1.5, sd))

    z, step = np.linspace(-1.5 - 10 * sd, 1.5 + 10 * sd, 8001, retstep=True)
    entropy = -np.sum(density(z) * np.log(density(z))) * step
    x, weights = np.polynomial.hermite_e.hermegauss(40)

    def sample(rng, n):
        mean = rng.choice([-1.5, 1.5], size=(n, d)) + 0.3 * rng.normal(size=(n, d))
        return mean, np.full((n, d), noise)

    def divergence(mean, var):
        at = mean[..., None] + np.sqrt(var)[..., None] * x
        cross = -np.log(density(at)) @ weights / weights.sum()
        return np.sum(cross - 0.5 * np.log(2 * np.pi * np.e * var), axis=1)

    own = 0.5 * np.log(2 * np.pi * np.e * noise)
    kl = 0.5 * (np.log(2 * np.pi) + 1.5**2 + sd**2) - entropy
    return sample, d * (entropy - own), 0.0, d * kl, divergence


POPULATIONS = {
    "one Gaussian latent": (correlated(1, 0.02), 60),
    "two": (correlated(2, 0.05), 100),
    "three": (correlated(3, 0.1), 100),
    "five, most rows apart": (correlated(5, 0.02), 80),
    "two bits": (bimodal(2, 0.05), 100),
    "three bits": (bimodal(3, 0.1), 100),
}


def before_cutting(run):
    """The lower end of TC before it is cut off at 0: the ends of I and TC add up to sum I_h."""
    return run.marginals.total_information - run.mutual_information_high


def check_range(name, times):
    """Each end on its side of the truth, in the mean over samples of the population.

    The upper end is compared with the KL of the same rows to the true q, whose expectation is I;
    most of the variance is common to both. Ends that are cut off at 0 are taken before that.
    """
    (sample, information, dependence, kl, divergence), n = POPULATIONS[name]
    rng = np.random.default_rng(7)
    runs, ideal = [], []
    for seed in range(times):
        mean, var = sample(rng, n)
        ideal.append(divergence(mean, var).mean())
        runs.append(joint(mean, var, points=max(n, 100), rng=seed))

    def values(field):
        return np.array([getattr(run, field) for run in runs])

    centre, error = mean_and_error(ideal)
    assert abs(centre - information) <= 5 * error
    for gap in (
        values("mutual_information_low") - ideal,
        np.array([before_cutting(run) for run in runs]) - dependence,
        values("kl_aggregate_prior_low") - kl,
    ):
        centre, error = mean_and_error(gap)
        assert centre <= 5 * error
    for gap in (
        values("mutual_information_high") - ideal,
        values("rest_high") + values("correlation") - dependence,
        values("kl_aggregate_prior_high") - kl,
    ):
        centre, error = mean_and_error(gap)
        assert centre >= -5 * error
    assert np.all(values("mutual_information_low") <= values("mutual_information_high"))
    return {
        field: (
            values(field).mean(),
            values(field).std(ddof=1),
            np.mean([run.standard_errors[field] for run in runs]),
        )
        for field in ("mutual_information_low", "mutual_information_high")
    }


@pytest.mark.parametrize("name", ["two", "five, most rows apart", "two bits"])
def test_ranges_hold_the_truth(monkeypatch, name):
    """For any weights of the upper bound: here those of 20 steps."""
    monkeypatch.setattr(_upper_bound, "_STEPS", 20)
    check_range(name, times=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
def test_ranges_over_many_samples(name):
    """And their errors are the spread over samples, or larger, to 5 errors of 150 values' sd.

    But for the lower end of rows that are all apart: it is log n less what few pairs overlap, and
    an error of first order understates how that varies (by 1.3, measured).
    """
    for field, (value, sd, error) in check_range(name, times=150).items():
        apart = value > np.log(0.9 * POPULATIONS[name][1])
        if field == "mutual_information_high" or not apart:
            assert 0.6 <= sd / error <= 1 + 5 / np.sqrt(300), field


def test_errors_of_the_population(monkeypatch):
    """Of samples of 100 rows, to 5 errors of a standard deviation of 60 values, each way."""
    monkeypatch.setattr(_upper_bound, "_STEPS", 10)
    sample = correlated(2, 0.3)[0]
    rng = np.random.default_rng(8)
    runs = [joint(*sample(rng, 100), points=100, rng=seed) for seed in range(60)]
    for name in ("mutual_information_low", "mutual_information_high"):
        sd = np.std([getattr(run, name) for run in runs], ddof=1)
        error = np.mean([run.standard_errors[name] for run in runs])
        assert 1 - 5 / np.sqrt(120) <= sd / error <= 1 + 5 / np.sqrt(120), name


def test_saturation_and_dependence():
    """Ranges of 8 tight independent latents tell nothing; a function of a latent is seen."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(200, 8))
    apart = joint(x, np.full(x.shape, 0.01), points=200, rng=0)
    assert apart.saturated
    assert apart.saturation > 0.9
    assert apart.vacuous
    assert apart.total_correlation > 5
    assert apart.rest_low + apart.correlation <= 0.1
    x[:, 1] = np.abs(x[:, 0])
    bound = joint(x[:, :3], np.full((200, 3), 0.01), points=200, rng=0)
    assert bound.saturated
    assert not bound.vacuous
    assert bound.total_correlation_low > 0.3
    assert bound.rest_low > 0.3
    smooth = joint(x[:, :2], np.full((200, 2), 0.5), points=200, rng=0)
    assert not smooth.saturated


@pytest.mark.parametrize(("errors", "vacuous"), [(-1, True), (1, True), (1.9, True), (2.1, False)])
def test_vacuous_is_within_two_errors_of_zero(monkeypatch, errors, vacuous):
    """The bound is moved by a constant, which moves the lower end of TC and no error."""
    monkeypatch.setattr(_upper_bound, "_STEPS", 5)
    mean, var = mixture(np.random.default_rng(18), n=60)
    before = joint(mean, var, points=100, rng=0)
    error = before.standard_errors["total_correlation_low"]
    shift = errors * error - before_cutting(before)

    def moved(*args):
        bound, weights = mix(*args)
        return bound + shift, weights

    monkeypatch.setattr(joint_module, "mix", moved)
    after = joint(mean, var, points=100, rng=0)
    assert after.vacuous == vacuous
    assert after.total_correlation_low == pytest.approx(max(errors * error, 0), abs=1e-6)
    assert after.rest_low == after.total_correlation_low - after.correlation


def test_the_upper_end_is_not_below_the_lower(monkeypatch):
    monkeypatch.setattr(joint_module, "mix", lambda x, fold: (x[:, 0] + 100, np.ones(x.shape[1])))
    mean, var = mixture(np.random.default_rng(19), n=60)
    ours = joint(mean, var, points=100, rng=0)
    assert ours.mutual_information_high == ours.mutual_information_low > 0


def test_clusters_of_one_row_change_nothing():
    mean, var = mixture(np.random.default_rng(12), n=60)
    plain = joint(mean, var, points=100, rng=0)
    each = joint(mean, var, points=100, rng=0, clusters=np.arange(60)[::-1])
    same(each, plain, 1e-9)
    assert plain.dependence == "Rows are taken as independent."
    assert each.dependence == "Rows of one cluster count as one draw, of 60."


def test_one_cluster_has_no_upper_end():
    mean, var = mixture(np.random.default_rng(12), n=60)
    plain = joint(mean, var, points=100, rng=0)
    one = joint(mean, var, points=100, rng=0, clusters=["a"] * 60)
    for name in (*NAMES, "residual", "kl_aggregate_prior_high"):
        assert getattr(one, name) == getattr(plain, name), name
    assert one.mutual_information_high is None
    assert one.total_correlation_low is one.kl_aggregate_prior_low is one.rest_low is None
    assert one.bound_weights == {}
    assert one.vacuous
    assert one.saturated
    assert one.draws == 1
    assert one.standard_errors["mutual_information_low"] == math.inf
    read = json.loads(one.to_json())
    assert read["ranges"]["mutual_information"] == {"low": None, "high": None}
    assert "not known" in repr(one)


@pytest.mark.parametrize("points", [200, 800])
def test_copies_in_one_cluster_are_one_draw(points):
    """The mixture of four copies is that of one, and so is its error as a population's value."""
    mean, var = mixture(np.random.default_rng(13), n=100)
    many = (np.tile(mean, (4, 1)), np.tile(var, (4, 1)))
    once = sampled(mean, var, points=points, rng=0)
    copies = joint(*many, points=points, rng=0, clusters=np.tile(np.arange(100), 4))
    apart = sampled(*many, points=points, rng=0)
    for name in ("mutual_information", "total_correlation"):
        gap = getattr(once, name) - getattr(copies, name)
        errors = np.hypot(once.standard_errors[name], copies.standard_errors[name])
        assert abs(gap) <= 5 * errors
    end = "mutual_information_low"
    assert copies.standard_errors[end] == pytest.approx(once.standard_errors[end], rel=0.25)
    assert apart.standard_errors[end] < 0.75 * copies.standard_errors[end]


def test_progress_is_told():
    seen = []

    def bar(items, label, length):
        seen.append((label, length))
        return items

    mean, var = mixture(np.random.default_rng(14), n=20)
    sampled(mean, var, points=100, rng=0, progress=bar)
    assert seen == [("marginals", 3), ("joint", 5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": 99}, "points must be at least 100; got 99"),
        ({"precision": "float16"}, "precision must be one of float64, float32; got 'float16'"),
        ({"var": np.zeros((3, 2))}, "var must be positive"),
        ({"mean": np.full((3, 2), np.nan)}, "mean must be finite"),
        ({"var": np.full((3, 2), np.inf)}, "var must be finite"),
        ({"var": np.ones((2, 2))}, "the same shape"),
        ({"mean": np.zeros((0, 2)), "var": np.ones((0, 2))}, "no rows"),
        ({"clusters": [1, 2]}, "clusters must have 3 rows"),
        ({"clusters": [1, None, 2]}, r"clusters\[1\] is missing"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        joint(**({"mean": np.zeros((3, 2)), "var": np.ones((3, 2)), "rng": 0} | changes))


def test_as_json_and_as_a_table():
    """Values where posteriors overlap, ranges where they do not."""
    mean, var = mixture(np.random.default_rng(15), n=120)
    ours = joint(mean, 5 * var, points=100, rng=0)
    read = json.loads(ours.to_json())
    assert read["schema"] == Joint.schema == "dindic.joint/1"
    more = {"schema", "error", "of_rows", "ranges"}
    assert set(read) == more | {*Joint.__dataclass_fields__} - {*ENDS, "narrowed"}
    assert set(read["standard_errors"]) == {*NAMES, "residual"}
    assert read["marginals"]["schema"] == "dindic.marginals/1"
    assert not ours.saturated
    error = ours.standard_errors["mutual_information"]
    assert f"{ours.mutual_information:.3f} ± {error:.3f}" in repr(ours)
    assert "hardly overlap" not in repr(ours)
    apart = joint(mean, 1e-6 * var, points=100, rng=0)
    assert apart.saturated
    row = next(line for line in apart.to_markdown().splitlines() if "| I(x; z) |" in line)
    low, high = (
        getattr(apart, name) + sign * 2 * apart.standard_errors[name]
        for name, sign in (("mutual_information_low", -1), ("mutual_information_high", 1))
    )
    assert f"{down(low)} to {up(high)}" in row
    assert apart.ranges["mutual_information"] == (low, high)
    assert "population" in row
    assert "hardly overlap" in apart.to_markdown()
    assert f"log n = {np.log(120):.2f}" in apart.to_markdown()
