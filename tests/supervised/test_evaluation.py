"""Scores with their null, their ceiling and their standard error."""

import json
import math
import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from disentangle_indicators._array import generator
from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators._result import plain
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.supervised import (
    METRICS,
    Metric,
    MetricOptions,
    Outcome,
    as_table,
    choose,
    compare_scores,
    evaluate_metrics,
    measure,
)
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised import evaluate as evaluate_options
from disentangle_indicators.supervised._evaluation_result import small_p_values
from disentangle_indicators.supervised._resamples import perfect_code
from disentangle_indicators.supervised._splits import splits, spread
from disentangle_indicators.supervised.evaluation import FEW, FEW_HALVES

CHEAP = ["mig", "sap", "dcimig", "modularity", "mcc", "irs"]


def strict(text):
    def refuse(word):
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


def data(n=200, d=3, seed=0, noise=0.5):
    """Two factors of 4 values in the first two of d latents, with noise."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(4, size=(n, 2))
    codes = rng.normal(size=(n, d))
    codes[:, :2] = factors - 1.5 + noise * rng.normal(size=(n, 2))
    return codes, factors


def evaluate(names, mean, factors, *, protocol=None, **others):
    given = {"permutations": 9, "halves": 6, "latents": "all"} | others
    return evaluate_metrics(names, mean, factors, protocol=protocol, **given)


def fake(compute, name="fake", **others):
    """A metric of one protocol whose compute takes codes and factors."""
    return {
        f"{name}@default": (
            Metric(
                name,
                "A fake",
                lambda z, factors, p, rng: Outcome(compute(z, factors)),
                {"default": {"bins": 3}},
                "how to read it",
                {"default": "nowhere"},
                **others,
            ),
            "default",
        )
    }


def distance(z, factors):
    return float(np.mean(np.abs(z[:, 0] - factors.values[:, 0])))


@pytest.mark.parametrize("name", [*CHEAP, "mig@ubisoft", "sap@locatello2019-continuous"])
def test_the_value_is_that_of_the_metric(name):
    codes, factors = data()
    scores = evaluate(name, codes, factors)
    ((key, found),) = scores.metrics.items()
    metric, protocol = METRICS[found.metric], found.protocol
    assert key == found.name == f"{metric.name}@{protocol}"
    again = measure(metric, codes, factors, protocol=protocol)
    if name != "irs":  # which draws, by the seed of the evaluation
        assert found.value == again.value
    assert found.parameters == metric.protocols[protocol]
    assert found.reading == metric.reading
    assert found.source == metric.sources[protocol]
    assert found.factors == ("factor_0", "factor_1")
    assert found.latents == (0, 1, 2)
    assert (found.per_factor is None) == (again.per_factor is None)
    assert found.matrix_name == again.matrix_name


def test_the_floor_and_the_ceiling_are_on_both_sides_of_a_good_code():
    codes, factors = data(n=400)
    for found in evaluate(["mig", "sap", "dcimig", "mcc"], codes, factors).metrics.values():
        assert found.null_mean <= found.null_95 < found.value < found.ceiling
        assert found.p_value == 1 / 10
        assert found.low <= found.value <= found.high
        reach = 1.96 * widening(6) * found.standard_error  # of 6 halves
        assert found.low == max(0.0, found.value - reach)
        assert found.high == min(1.0, found.value + reach)
        assert (found.n, found.draws) == (400, 400)
        assert found.null_mean == np.mean(found.null)
        assert found.standard_error == pytest.approx(
            spread(found.half_values, 400, curved=found.curved)
        )


def test_the_ceiling_is_the_score_of_the_factors_beside_noise():
    codes, factors = data(n=400)
    found = evaluate(["mig", "mcc"], codes, factors).metrics
    assert found["mig@default"].ceiling == pytest.approx(0.9, abs=0.05)  # noise knows (19 3/2n)
    assert found["mcc@default"].ceiling == pytest.approx(1, abs=1e-9)
    alone = evaluate("mig", codes[:, :2], factors).metrics["mig@default"]
    table = as_table(factors, 400)
    noisy = factors + 0.01 * np.random.default_rng(1).normal(size=factors.shape)
    assert alone.ceiling == pytest.approx(measure(METRICS["mig"], noisy, table).value, abs=0.02)


def test_the_perfect_code_has_a_trace_of_noise():
    """1% of the distance between neighbouring values, also where values are missing."""
    rng = np.random.default_rng(0)
    factors = rng.integers(8, size=(4000, 2)) * [1.0, 50.0] + [0, 3]
    factors[:50, 1] = np.nan
    table = as_table(factors, 4000, kinds=["ordinal", "ordinal"])
    noise = rng.standard_normal((4000, 5))
    code, exact = perfect_code(table, noise), table.codes()
    assert np.array_equal(code[:, 2:], noise[:, 2:])
    for k in range(2):
        gap = np.diff(np.unique(exact[table.present(k), k]))[0]
        assert np.allclose(code[:, k] - exact[:, k], 0.01 * gap * noise[:, k], atol=1e-12)
    alone = perfect_code(table.select([0]), noise[:, :1])
    assert np.allclose(alone, code[:, :1], atol=1e-12)


def test_a_ceiling_pads_with_noise_and_not_with_constants():
    """Latents beside the factors count in a score that averages over latents."""
    codes, factors = data()
    metrics = fake(lambda z, v: float(np.mean(z.std(axis=0))), ranges={"default": (0.0, 9.0)})
    (found,) = evaluate_metrics(metrics, codes, factors, latents="all", halves=0).metrics.values()
    assert found.ceiling == pytest.approx(1, abs=0.06)


def test_factors_of_any_size_have_a_perfect_code():
    small = np.arange(12) % 4
    values = np.stack([small * 5e307, small * 5e-324, small + 0.1], axis=1)
    values[3, 2] = np.nan
    perfect = as_table(values, 12).codes()
    assert np.allclose(perfect[:, 0], (small - 1.5) / np.std(small), atol=1e-12)
    assert np.allclose(perfect[:, 1], perfect[:, 0], atol=1e-12)
    assert perfect[3, 2] == 0
    assert perfect[:, 2].mean() == pytest.approx(0, abs=1e-12)
    assert not as_table(np.full((12, 1), 0.1), 12).codes().any()


def test_with_more_factors_than_latents_there_is_no_ceiling():
    codes, factors = data()
    scores = evaluate("mig", codes[:, :1], factors)
    found = scores.metrics["mig@default"]
    assert found.value is not None
    assert found.ceiling is None
    text = " ".join(repr(scores).split())
    assert "(-: 2 factors need as many latents, and the code has 1)" in text
    assert re.search(r"mig@default( [\d.±<]+)+ - ", text)
    constant = np.column_stack([factors, np.ones(len(factors))])
    assert evaluate("mig", codes[:, :2], constant).metrics["mig@default"].ceiling is not None


@pytest.mark.parametrize("name", ["mig", "mcc"])
def test_p_values_of_noise_are_uniform(name):
    """Their mean and their share below 0.2, within 5 standard errors of 80 data sets."""
    p = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        codes, factors = rng.normal(size=(60, 2)), rng.integers(3, size=(60, 2))
        metrics = evaluate(name, codes, factors, permutations=19, halves=0, rng=seed).metrics
        p.append(metrics[f"{name}@default"].p_value)
    assert min(p) >= 1 / 20
    assert max(p) <= 1
    assert np.mean(p) == pytest.approx(0.525, abs=5 * 0.288 / math.sqrt(80))
    assert np.mean(np.array(p) <= 0.201) == pytest.approx(0.2, abs=5 * 0.4 / math.sqrt(80))


def test_the_same_seed_gives_the_same_result():
    codes, factors = data()
    first = evaluate(CHEAP, codes, factors, rng=3)
    again = evaluate(CHEAP, codes.copy(), factors.copy(), rng=3)
    assert first.to_json() == again.to_json()
    assert first.seed == 3
    other = evaluate(CHEAP, codes, factors, rng=4)
    for name, found in first.metrics.items():
        if name != "modularity@default":  # of which all permutations score 0
            assert not np.array_equal(found.null, other.metrics[name].null)
        assert not np.array_equal(found.half_values, other.metrics[name].half_values)
    drawn = evaluate(CHEAP, codes, factors, rng=generator(3))
    assert drawn.seed is None
    assert np.array_equal(drawn.metrics["mig@default"].null, first.metrics["mig@default"].null)


def test_a_metric_gets_the_same_result_alone_and_among_others():
    codes, factors = data()
    alone = evaluate("irs", codes, factors).metrics["irs@default"]
    assert evaluate(CHEAP, codes, factors).metrics["irs@default"].to_json() == alone.to_json()


def test_permutations_of_latents_leave_values():
    codes, factors = data()
    first = evaluate(CHEAP, codes, factors).metrics
    moved = evaluate(CHEAP, codes[:, [2, 0, 1]], factors).metrics
    for name, found in first.items():
        for field in ("value", "null_mean", "null_95", "p_value", "standard_error"):
            expected = pytest.approx(getattr(found, field), abs=1e-9)
            if name != "irs@default":  # whose random groups are drawn latent by latent
                assert getattr(moved[name], field) == expected, (name, field)
        assert moved[name].value == pytest.approx(found.value, abs=1e-9)
    expected = first["mig@default"].matrix[[2, 0, 1]]
    assert np.allclose(moved["mig@default"].matrix, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["mig", "sap"])
def test_the_error_is_that_of_other_samples(name):
    """Within a factor of 2 of the spread over 40 data sets."""
    found = []
    for seed in range(40):
        metrics = evaluate(name, *data(n=300, seed=seed), permutations=0, halves=10).metrics
        found.append(metrics[f"{name}@default"])
    spread = np.std([m.value for m in found], ddof=1)
    errors = np.sqrt(np.mean([m.standard_error**2 for m in found]))
    assert 0.5 < errors / spread < 2


def test_metrics_that_refit_have_few_permutations_and_halves():
    codes, factors = data(n=60)
    calls = []

    def compute(z, factors):
        calls.append(len(z))
        return distance(z, factors)

    dear = evaluate_metrics(fake(compute, refits=("default",)), codes, factors, latents="all")
    (found,) = dear.metrics.values()
    assert (found.permutations, found.halves) == (FEW, FEW_HALVES) == (5, 8)
    assert (len(found.null), len(found.half_values)) == (5, 8)
    assert calls == [60] * 6 + [30] * 8 + [60]
    assert "5 permutations and 8 halves" in " ".join(repr(dear).split())
    calls.clear()
    evaluate_metrics(
        fake(compute, refits=("default",)), codes, factors, latents="all", permutations=2, halves=0
    )
    assert calls == [60] * 4
    cheap = evaluate_metrics(
        fake(compute), codes, factors, latents="all", permutations=7, halves=8
    )
    (found,) = cheap.metrics.values()
    assert (found.permutations, found.halves) == (7, 8)


def test_metrics_that_do_refit_say_so():
    codes, factors = data(n=60)
    found = evaluate(["explicitness", "mig"], codes, factors, permutations=9, halves=9).metrics
    assert (found["explicitness@default"].permutations, found["mig@default"].permutations) == (
        5,
        9,
    )
    text = " ".join(repr(evaluate(["explicitness", "mig"], codes, factors)).split())
    assert "5 permutations and 6 halves or 9 permutations and 6 halves" in text


def test_one_protocol_of_a_metric_refits_and_another_does_not():
    codes, factors = data(n=60)
    names = ["sap@locatello2019", "sap"]
    found = evaluate(names, codes, factors, permutations=9, halves=9).metrics
    assert (found["sap@locatello2019"].permutations, found["sap@locatello2019"].halves) == (5, 8)
    assert (found["sap@default"].permutations, found["sap@default"].halves) == (9, 9)


def test_a_metric_without_a_value_says_why_and_the_others_come():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(60, 2))
    codes = factors + 0.1 * rng.normal(size=(60, 2))

    def refuse(z, factors):
        raise Undefined("a metric of more than 60 rows has none here")

    metrics = fake(refuse) | choose("mcc")[0]
    scores = evaluate_metrics(metrics, codes, factors, permutations=3, halves=2)
    none, found = scores.metrics.values()
    assert none.value is none.p_value is none.ceiling is none.standard_error is None
    assert none.reason == "a metric of more than 60 rows has none here"
    assert (none.permutations, none.halves) == (0, 0)
    assert found.value > 0.9
    assert found.reason == ""
    assert "a metric of more than 60 rows" in " ".join(repr(scores).split())
    assert strict(scores.to_json())["metrics"]["fake@default"]["value"] is None
    assert np.isnan(scores.to_frame().loc["fake", "value"])
    with pytest.raises(Undefined, match="has no value: a metric of more"):
        compare_scores(none, none)


def broken(z, factors):
    raise ValueError("operands could not be broadcast together with shapes (3,) (4,)")


def test_a_mistake_in_a_metric_is_no_reason():
    """It propagates, from all rows as from halves, shuffled rows and the ceiling."""
    codes, factors = data(n=60)
    for calls in range(8):
        seen = []

        def compute(z, factors, seen=seen, calls=calls):
            seen.append(len(z))
            return broken(z, factors) if len(seen) > calls else distance(z, factors)

        metrics = fake(compute)
        given = {"permutations": 3, "halves": 3, "latents": "all"}
        with pytest.raises(ValueError, match="operands could not be broadcast") as raised:
            evaluate_metrics(metrics, codes, factors, **given)
        assert not isinstance(raised.value, Undefined)
    evaluate_metrics(fake(distance), codes, factors, **given)


def test_a_value_that_is_not_finite_is_none():
    codes, factors = data(n=60)
    (found,) = evaluate_metrics(
        fake(lambda z, v: np.nan), codes, factors, permutations=2, halves=2, latents="all"
    ).metrics.values()
    assert found.value is None
    assert found.reason == "fake has no value for these codes and factors"


def test_a_metric_with_a_value_of_some_halves_only_has_no_error():
    codes, factors = data(n=60)

    def compute(z, factors):
        if len(z) < 60 and 0 in factors.values[:, 0] and z[0, 0] > 0:
            raise Undefined("this half has no value at all")
        return distance(z, factors)

    (found,) = evaluate_metrics(
        fake(compute), codes, factors, latents="all", permutations=0, halves=20
    ).metrics.values()
    assert found.halves == 0
    assert found.standard_error is None
    assert found.value > 0


def test_missing_values_and_constant_factors_are_said():
    codes, factors = data()
    factors = np.column_stack([factors, np.full(200, 7)]).astype(float)
    factors[:5, 1] = np.nan
    names = ["shape", "size", "colour"]
    scores = evaluate("mig", codes, factors, factor_names=names, kinds={"size": "categorical"})
    assert scores.notes == (
        "colour holds a single value and is left out",
        "size has no value in 5 of 200 rows, which are left out for it",
        "rows are taken as independent",
    )
    assert scores.kinds == {"shape": "ordinal", "size": "categorical", "colour": "ordinal"}
    found = scores.metrics["mig@default"]
    assert found.factors == ("shape", "size")
    assert len(found.per_factor) == 2
    assert found.matrix.shape == (3, 2)
    text = " ".join(repr(scores).split())
    assert all(note in text for note in scores.notes)
    expected = measure(METRICS["mig"], codes, factors[:, :2]).value
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_rows_by_factor_are_parts_of_their_score_or_have_a_name():
    """One latent has both factors: nothing is disentangled, and each factor is in one latent."""
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(600, 2))
    codes = np.stack([factors @ [1, 3.5], rng.normal(size=600)], axis=1)
    scores = evaluate(["mig", "med", "infomec"], codes, factors, permutations=0, halves=0)
    rows = {
        line.strip().split("  ")[0] for line in repr(scores).split("by factor")[1].splitlines()
    }
    assert {"mig@default", "med@default completeness", "infomec@default infoc"} <= rows
    for found in scores.metrics.values():
        if not found.per_factor_name:
            assert found.value == pytest.approx(np.mean(found.per_factor), abs=1e-12)
        else:
            part = found.parts[found.per_factor_name]
            assert part == pytest.approx(np.mean(found.per_factor), abs=1e-12)
            assert part > found.value + 0.5


def test_the_kind_of_every_factor_is_printed():
    codes, factors = data()
    scores = evaluate("mig", codes, factors, factor_names=["shape", "size"])
    assert "Kinds of the factors: shape ordinal, size ordinal.\n" in repr(scores)
    risky = replace(scores, guessed=("size",))
    assert "shape ordinal, size ordinal (a guess).\n" in repr(risky)


def test_where_lower_is_better():
    _, factors = data(n=200)
    good = factors + 0.1
    metrics = fake(distance, higher_is_better=False, ranges={"default": (0.0, 10.0)})
    scores = evaluate_metrics(metrics, good, factors, permutations=19, halves=4, latents="all")
    (found,) = scores.metrics.values()
    assert found.value == pytest.approx(0.1)
    assert found.p_value == 1 / 20
    assert found.value < found.null_95 < found.null_mean
    assert np.sum(found.null < found.null_95) <= 1
    assert not found.higher_is_better
    assert "lower is better" in " ".join(repr(scores).split())
    bad = evaluate_metrics(metrics, good + 50, factors, permutations=19, halves=4, latents="all")
    assert next(iter(bad.metrics.values())).value > 50
    worse = fake(
        lambda z, v: -distance(z, v), higher_is_better=False, ranges={"default": (-10.0, 0.0)}
    )
    (found,) = evaluate_metrics(
        worse, good, factors, permutations=19, latents="all"
    ).metrics.values()
    assert found.p_value == 1


def donors(unequal, number=20, cells=40, seed=0):
    """Codes and factors that donors have at random, with cells that add noise to the codes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(cells // 2, 2 * cells, size=number) if unequal else [cells] * number
    donor = np.repeat(np.arange(number), sizes)
    codes = rng.normal(size=(number, 6))[donor] + 0.5 * rng.normal(size=(len(donor), 6))
    return codes, rng.integers(3, size=(number, 2))[donor], donor


@pytest.mark.parametrize("unequal", [False, True])
def test_what_twenty_donors_show_by_chance(unequal):
    """Nothing is known of the factors: the null of donors is near the score, that of cells not."""
    codes, factors, donor = donors(unequal)
    names = ["mig", "mcc"]
    whole = evaluate(names, codes, factors, clusters=donor, permutations=60, halves=20)
    cells = evaluate(names, codes, factors, permutations=19, halves=20)
    for name, found in whole.metrics.items():
        other = cells.metrics[name]
        assert found.value == other.value
        assert found.null_mean > 3 * other.null_mean
        assert found.p_value > 0.05
        assert other.p_value == 1 / 20
        assert found.standard_error > 1.5 * other.standard_error
        assert found.ceiling < other.ceiling + 0.01
        assert (found.draws, found.n) == (20, len(codes))
    assert whole.metrics["mcc@default"].null_mean > 0.25


def test_few_clusters_have_wide_intervals_and_bounded_p_values():
    codes, factors, donor = donors(True, number=4)
    factors = factors[:, :1] * 0 + (donor[:, None] < 2)
    found = evaluate("mcc", codes, factors, clusters=donor, permutations=50, halves=30)
    note = (
        "the factors can be given to the clusters in 6 ways, so that no p-value can be below 0.17"
    )
    assert note in found.notes
    score = found.metrics["mcc@default"]
    assert score.p_value > 0.1
    assert len(set(score.null.round(9))) <= 6
    assert score.halves == 0  # some halves have one value only
    factors = np.random.default_rng(0).integers(3, size=factors.shape)
    score = evaluate("mcc", codes, factors, clusters=donor, halves=30).metrics["mcc@default"]
    reach = 1.96 * widening(4) * score.standard_error
    assert score.high == min(1.0, score.value + reach)
    assert not any("6 ways" in note for note in evaluate("mcc", codes, factors).notes)


def test_scores_that_tie_with_the_null_count_as_well():
    """A score that is always the same has p = 1."""
    codes, factors = data(n=60)
    for better in (True, False):
        metrics = fake(lambda z, v: 0.5, higher_is_better=better)
        (found,) = evaluate_metrics(
            metrics, codes, factors, permutations=9, halves=0, latents="all"
        ).metrics.values()
        assert found.p_value == 1


def test_what_sixty_rows_cannot_show():
    """Of 32 values, a perfect code with a trace of noise has the scores of shuffled rows: 0."""
    rng = np.random.default_rng(0)
    factors = np.stack([rng.integers(v, size=60) for v in (3, 6, 40, 32, 32)], axis=1)
    codes = factors + 0.02 * rng.normal(size=factors.shape)
    for found in evaluate(["modularity", "med"], codes, factors).metrics.values():
        assert found.value == pytest.approx(found.ceiling, abs=0.05)
    codes, factors = codes[:, 2:], factors[:, 2:]
    scores = evaluate(["modularity", "med", "mig"], codes, factors, permutations=20)
    text = " ".join(repr(scores).split())
    for name in ("modularity@default", "med@default"):
        assert scores.metrics[name].value == scores.metrics[name].ceiling == 0
        assert scores.metrics[name].blind
    assert text.count("cannot be seen at n = 60") == 2
    assert not scores.metrics["mig@default"].blind
    many = evaluate("med", np.tile(codes, (20, 1)), np.tile(factors, (20, 1)))
    assert not many.metrics["med@default"].blind


def test_a_score_above_the_ceiling_is_at_the_ceiling():
    """Codes with the ties of the factors score more than any code with noise."""
    _, factors = data(n=200)
    scores = evaluate("mig", factors, factors, permutations=3)
    (found,) = scores.metrics.values()
    assert found.value > found.ceiling
    assert found.at_ceiling
    assert "at the ceiling" in repr(scores)
    codes, factors = data()
    assert not evaluate("mig", codes, factors).metrics["mig@default"].at_ceiling
    low = replace(found, higher_is_better=False, value=0.1, ceiling=0.2, null_95=0.9)
    assert low.at_ceiling
    assert not low.blind
    assert replace(low, null_95=0.1).blind


def test_the_report_counts_small_p_values():
    """4 metrics: 3 of 100 permutations, 5 / 101 each, and 1 of 5, which cannot be small."""
    codes, factors = data(n=60)
    scores = evaluate(
        ["mig", "sap", "mcc", "explicitness"], codes, factors, permutations=100, halves=0
    )
    text = " ".join(repr(scores).split())
    assert (
        "Small p-values: 3 of 4 metrics have p ≤ 0.05; codes that do not depend on the factors have "
        "0.1 on average. 1 has too few permutations for such a p." in text
    )
    exact = replace(scores.metrics["mig@default"], permutations=19, p_value=0.05)
    assert "1 of 1 metrics have p ≤ 0.05" in small_p_values([exact])
    assert "have 0.1 on average." in small_p_values([exact])  # 1 / 20


def test_differences_are_paired():
    codes, factors = data()
    one = evaluate("mig", codes, factors).metrics["mig@default"]
    same = evaluate("mig", codes.copy(), factors).metrics["mig@default"]
    assert compare_scores(one, same) == (0.0, 0.0)
    noisy = codes + 0.3 * np.random.default_rng(1).normal(size=codes.shape)
    two = evaluate("mig", noisy, factors).metrics["mig@default"]
    difference, error = compare_scores(one, two)
    assert difference == two.value - one.value < 0
    assert error == pytest.approx(
        spread(two.half_values - one.half_values, 200, curved=one.curved)
    )
    assert 0 < error < math.hypot(one.standard_error, two.standard_error)
    assert compare_scores(two, one) == (-difference, error)


def test_what_cannot_be_compared_is_refused():
    codes, factors = data()
    found = evaluate(["mig", "mcc"], codes, factors).metrics
    with pytest.raises(ValueError, match="mig@default and mcc@default are not the same metric"):
        compare_scores(found["mig@default"], found["mcc@default"])
    none = evaluate("mig", codes, factors, halves=0).metrics["mig@default"]
    assert none.standard_error is none.low is none.high is None
    with pytest.raises(Undefined, match="on 6 and 0 halves"):
        compare_scores(found["mig@default"], none)
    one = replace(none, half_values=np.ones(3))
    with pytest.raises(Undefined, match="on 3 and 3 halves"):
        compare_scores(one, one)


def test_without_permutations_there_is_no_floor():
    codes, factors = data()
    found = evaluate("mig", codes, factors, permutations=0).metrics["mig@default"]
    assert found.p_value is found.null_mean is found.null_95 is None
    assert found.permutations == 0
    assert found.null.shape == (0,)
    assert found.ceiling is not None


def test_json_is_finite_and_complete():
    codes, factors = data(n=80)
    scores = evaluate("all", codes, factors, permutations=2, halves=0)
    content = strict(scores.to_json())
    assert content["schema"] == "dindic.metrics/1"
    assert [name.partition("@")[0] for name in content["metrics"]] == list(METRICS)
    for name, found in content["metrics"].items():
        metric = METRICS[found["metric"]]
        assert found["schema"] == "dindic.metric/1"
        assert found["parameters"] == plain(metric.protocols[found["protocol"]]), name
        assert found["value"] is not None, found["reason"]
        assert len(found["null"]) == found["permutations"] == 2
        assert set(found) == {"schema", *scores.metrics[name].own_fields()}
    assert content["described"] == "posterior means, all 3 latents"
    frame = scores.to_frame()
    assert list(frame.index) == list(METRICS)
    assert frame.loc["mig", "value"] == scores.metrics["mig@default"].value
    assert set(frame.protocol) == {"default"}
    assert {"null_mean", "null_95", "p_value", "ceiling", "permutations"} <= set(frame)
    text = repr(scores)
    assert all(name in text for name in content["metrics"])
    assert max(map(len, text.splitlines())) <= 100


def test_latents_are_chosen_by_one_policy():
    codes, factors = data()
    var = np.broadcast_to([0.01, 0.01, 1.0], codes.shape)
    codes = codes * [1, 1, 0.01]
    used = evaluate("mig", codes, factors, var=var, latents="used")
    assert used.latents == used.metrics["mig@default"].latents == (0, 1)
    assert used.described == "posterior means, the 2 of 3 latents that are used"
    assert (
        used.metrics["mig@default"].value == measure(METRICS["mig"], codes[:, :2], factors).value
    )
    assert evaluate("mig", codes, factors, latents="used").latents == (0, 1)
    every = evaluate("mig", codes, factors, var=var, threshold=1e-12, latents="all")
    assert every.latents == (0, 1, 2)
    with pytest.raises(ValueError, match="no latent is used"):
        evaluate("mig", codes, factors, var=var, latents="used", threshold=50)


def test_samples_need_variances_and_differ_from_means():
    codes, factors = data()
    var = np.full(codes.shape, 0.5)
    means = evaluate("mig", codes, factors, var=var)
    samples = evaluate("mig", codes, factors, var=var, codes="sample")
    assert samples.codes == "sample"
    assert samples.metrics["mig@default"].value < means.metrics["mig@default"].value
    again = evaluate("mig", codes, factors, var=var, codes="sample")
    assert again.to_json() == samples.to_json()
    with pytest.raises(ValueError, match="a sample needs the posterior variances"):
        evaluate("mig", codes, factors, codes="sample")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"permutations": -1}, "permutations must not be negative; got -1"),
        ({"permutations": 1.5}, "permutations must be a whole number; got 1.5"),
        ({"halves": -2}, "halves must not be negative; got -2"),
        ({"factors": np.ones((3, 2))}, r"factors must have 200 rows; the shape is \(3, 2\)"),
        (
            {"factors": np.ones((200, 2))},
            "factors must vary; each of the 2 columns holds a single",
        ),
        ({"codes": "both"}, "codes must be mean or sample; got 'both'"),
        ({"latents": "some"}, "latents must be used or all; got 'some'"),
        ({"kinds": {"size": "ordinal"}}, "no factor is called 'size'"),
        ({"factor_names": ["a"]}, "factor_names must be 2 names"),
        ({"mean": np.full((200, 3), np.nan)}, "mean must be finite"),
    ],
)
def test_bad_input_is_refused(change, message):
    codes, factors = data()
    given = {"mean": codes, "factors": factors} | change
    with pytest.raises(ValueError, match=message):
        evaluate_metrics(choose("mig")[0], given.pop("mean"), given.pop("factors"), **given)


def test_progress_sees_every_metric():
    seen = []

    def progress(steps, description, total):
        seen.append((description, total))
        yield from steps

    scores = evaluate(CHEAP, *data(), progress=progress)
    assert seen == [("metrics", len(CHEAP))]
    assert len(scores.metrics) == len(CHEAP)


def copies(n=60, k=8, seed=0):
    """Codes and factors of n rows, each k times, and which row each is a copy of."""
    codes, factors = data(n=n, seed=seed)
    order = np.random.default_rng(seed + 1).permutation(n * k)
    original = np.repeat(np.arange(n), k)[order]
    return codes[original], factors[original], original


@pytest.mark.parametrize("name", ["mig", "sap"])
def test_the_error_of_clusters_is_that_of_their_number(name):
    """Copies of rows tell nothing new; without clusters the error is too small."""
    spread, clustered, single = [], [], []
    for seed in range(12):
        codes, factors, original = copies(seed=seed)
        given = {"permutations": 0, "halves": 10}
        (found,) = evaluate(name, codes, factors, clusters=original, **given).metrics.values()
        spread.append(found.value)
        clustered.append(found.standard_error)
        (found,) = evaluate(name, codes, factors, **given).metrics.values()
        single.append(found.standard_error)
    assert 0.5 < np.sqrt(np.mean(np.square(clustered))) / np.std(spread, ddof=1) < 2
    assert np.mean(single) < 0.9 * np.mean(clustered)


def test_clusters_of_one_row_change_nothing():
    codes, factors = data(n=60)
    plain_scores = evaluate("mig", codes, factors)
    scores = evaluate("mig", codes, factors, clusters=[f"row {i:02}" for i in range(60)])
    one, two = plain_scores.metrics["mig@default"], scores.metrics["mig@default"]
    assert one.to_json() == two.to_json()
    assert (plain_scores.n_clusters, scores.n_clusters) == (None, 60)


def test_nulls_of_clusters():
    """Clusters of one size keep their rows together, and the null of copies is that of rows."""
    codes, factors, original = copies(k=4)
    whole = evaluate("mig", codes, factors, clusters=original, permutations=40)
    single = evaluate("mig", codes, factors, permutations=40)
    assert "nulls give each cluster the factors of another one" in whole.notes[0]
    assert "halves of the 60 clusters" not in repr(single)
    assert "from random halves of the 60 clusters" in " ".join(repr(whole).split())
    assert whole.metrics["mig@default"].null.std() > 1.3 * single.metrics["mig@default"].null.std()
    uneven = evaluate("mig", codes[1:], factors[1:], clusters=original[1:], permutations=40)
    assert "left out or repeated where sizes differ" in uneven.notes[0]
    ratio = uneven.metrics["mig@default"].null.std() / single.metrics["mig@default"].null.std()
    assert ratio > 1.3
    one = evaluate("mig", codes, factors, clusters=np.zeros(len(codes)))
    assert one.metrics["mig@default"].standard_error is None
    with pytest.raises(
        ValueError, match=r"clusters must have the shape \(240,\); the shape is \(2,\)"
    ):
        evaluate("mig", codes, factors, clusters=[1, 2])


def test_options_are_checked_when_they_are_made():
    options = MetricOptions("mig, sap@ubisoft", protocol="locatello2019", permutations=3)
    assert options.metrics == ("mig", "sap@ubisoft")
    assert list(options.chosen()[0]) == ["mig@locatello2019", "sap@ubisoft"]
    assert hash(MetricOptions(["mig"])) == hash(MetricOptions("mig"))
    with pytest.raises(FrozenInstanceError):
        options.halves = 3
    for change, words in {
        ("metrics", "migg"): "no metric is called 'migg'; there is mig",
        ("metrics", ()): "no metric is named",
        ("protocol", "nobody2099"): "no protocol is called 'nobody2099'",
        ("permutations", -1): "permutations must not be negative; got -1",
        ("halves", 2.5): "halves must be a whole number; got 2.5",
        ("codes", "both"): "codes must be mean or sample; got 'both'",
        ("latents", "some"): "latents must be used or all; got 'some'",
    }.items():
        with pytest.raises(ValueError, match=words):
            MetricOptions(**dict([change]))


def test_options_and_keywords_are_one():
    codes, factors = data(n=60)
    options = MetricOptions("mig", "dent", permutations=2, halves=2, latents="all")
    by_options = evaluate_options(Encodings.of(codes, factors=factors), options, rng=1)
    by_keywords = evaluate_metrics(
        ["mig"], codes, factors, protocol="dent", permutations=2, halves=2, latents="all", rng=1
    )
    assert by_options.to_json() == by_keywords.to_json()


def test_a_half_keeps_which_rows_are_fitted():
    """Up to the few rows by which a random half has more of one part."""
    codes, factors = data(n=600)
    codes[:, 0] = np.arange(600)
    fitted = []

    def compute(z, factors, p, rng):
        train, _ = splits(factors, p, rng)[0]
        fitted.append(set(z[train, 0].astype(int)))
        return Outcome(0.5)

    protocol = {"order": "shuffled", "train": 10_000, "test": 5_000}
    metric = Metric("fake", "A fake", compute, {"default": protocol}, "", {"default": ""})
    chosen = {"fake@default": (metric, "default")}
    evaluate_metrics(chosen, codes, factors, permutations=0, halves=4, latents="all")
    whole, *halves = fitted[:5]
    assert len(whole) == 400
    for half in halves:
        assert len(half) == 200
        assert len(half & whole) > 180


def test_a_half_keeps_the_threshold_of_all_rows():
    """As many nats above the mean of chance, which are twice as many by half of the rows."""
    codes, factors = data(n=600)
    table, p = as_table(factors, 600), METRICS["med"].parameters()
    rows = np.arange(0, 600, 2)
    (_, whole), (_, half), (_, kept) = (
        info.prepare_chance(codes[r], table.take(r), p | more)[1]
        for r, more in ((np.arange(600), {}), (rows, {}), (rows, {"share": 0.5}))
    )
    np.testing.assert_allclose(half.above - half.mean, 2 * (whole.above - whole.mean), rtol=0.05)
    np.testing.assert_allclose(kept.above - kept.mean, whole.above - whole.mean, rtol=0.05)
    np.testing.assert_array_equal(kept.mean, half.mean)


@pytest.mark.parametrize("name", ["med", "modularity", "infomec"])
def test_the_error_of_a_score_that_all_samples_share(name):
    """Noise that is no information in all rows is none in their halves, whose bar is lower."""
    rng = np.random.default_rng(3)
    factors = np.stack([rng.integers(k, size=400) for k in (4, 3)], axis=1)
    code = rng.normal(size=(400, 6))
    code[:, :2] += 4 * factors
    found = evaluate(name, code, factors, permutations=0, halves=20).metrics[f"{name}@default"]
    assert found.value > 0.995
    assert found.standard_error < 0.002


def test_the_error_where_informations_are_near_their_limit():
    """Of med, between half and twice the spread over 40 samples, five errors of which are 55%."""
    mixed = np.array([[1, 0.5, 0], [0.3, 1, 0.4], [0, 0.2, 1]])
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        factors = rng.integers(3, size=(300, 3))
        code = factors @ mixed + 0.6 * rng.normal(size=(300, 3))
        run = evaluate("med", code, factors, permutations=0, halves=10)
        found.append(run.metrics["med@default"])
    spread = np.std([m.value for m in found], ddof=1)
    assert 0.5 < np.sqrt(np.mean([m.standard_error**2 for m in found])) / spread < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mig", "dmig"])
def test_the_error_of_information_in_bins(name):
    """Half of the rows have more noise in each bin: the sum of both terms is 1.4 times too large."""
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        factors = np.stack([rng.integers(k, size=300) for k in (4, 3, 5)], axis=1)
        code = factors / factors.std(axis=0) + 0.2 * rng.normal(size=(300, 3))
        run = evaluate(name, code, factors, permutations=0, halves=10)
        found.append(run.metrics[f"{name}@default"])
    truth = np.std([m.value for m in found], ddof=1)
    error, plain = (np.mean([spread(m.half_values, 300, curved=c) for m in found]) for c in (1, 0))
    assert np.mean([m.standard_error for m in found]) == pytest.approx(error)
    assert error / truth == pytest.approx(1, abs=0.25 + 5 * 0.07)
    assert error < 0.85 * plain
