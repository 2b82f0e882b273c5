"""compare(): values, paired errors, and what does not go together."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_indicators import Encodings
from disentangle_indicators import score as with_joint
from disentangle_indicators._blocks import Table, with_error
from disentangle_indicators._clusters import widening
from disentangle_indicators._render import to_text
from disentangle_indicators.aggregate._joint_result import span
from disentangle_indicators.comparison import compare, compare_by, saved_report
from disentangle_indicators.supervised import MetricOptions, compare_scores
from disentangle_indicators.supervised._splits import spread

TOTALS = ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior")


score = partial(with_joint, joint=False)
"""What is compared here needs no joint, which takes a second."""


def encodings(n=50, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.uniform(0.05, 1.2, (n, d))


def influences(mean, var):
    """One number a row for each total, from the definitions."""
    u, log_var = mean**2 + var, np.log(var)
    second = u.mean(axis=0)
    columns = (0.5 * (u - log_var), 0.5 * (u / second - log_var), 0.5 * (1 - 1 / second) * u)
    return {name: c.sum(axis=1) for name, c in zip(TOTALS, columns, strict=True)}


pairs = st.tuples(st.integers(2, 60), st.integers(1, 5), st.integers(0, 10_000))


@given(pairs)
def test_paired_errors_are_those_of_the_differences(shape):
    n, d, seed = shape
    a, b = encodings(n, d, seed), encodings(n, d, seed + 1)
    both = compare([score(a[0], var=a[1]), score(b[0], var=b[1])], paired=True)
    assert both.paired
    (difference,) = both.differences
    for name, first in influences(*a).items():
        spread = np.std(influences(*b)[name] - first, ddof=1) / math.sqrt(n)
        assert difference[f"{name}_se"] == pytest.approx(spread, rel=1e-6, abs=1e-9)


@given(pairs)
def test_errors_of_independent_samples_add_in_squares(shape):
    n, d, seed = shape
    cards = [score(*encodings(m, d, seed)[:1], var=encodings(m, d, seed)[1]) for m in (n, n + 3)]
    both = compare(cards)
    assert not both.paired
    for name in TOTALS:
        errors = [card.standard_errors[name] for card in cards]
        assert both.differences[0][f"{name}_se"] == pytest.approx(math.hypot(*errors))
        value = getattr(cards[1], name) - getattr(cards[0], name)
        assert both.differences[0][name] == value


def test_the_same_card_twice_differs_by_exactly_nothing():
    mean, var = encodings()
    card = score(mean, var=var)
    for other in (card, score(mean.copy(), var=var.copy())):
        (difference,) = compare([card, other], paired=True).differences
        assert set(difference.values()) == {0.0}


def test_paired_errors_of_correlated_models_are_small():
    mean, var = encodings(2_000)
    rng = np.random.default_rng(1)
    cards = [score(mean, var=var), score(mean + 0.01 * rng.normal(size=mean.shape), var=var)]
    apart, paired = compare(cards).differences[0], compare(cards, paired=True).differences[0]
    assert apart["mutual_information"] == paired["mutual_information"]
    assert 0 < paired["mutual_information_se"] < 0.1 * apart["mutual_information_se"]


def test_batches_of_different_sizes_line_up():
    a, b = encodings(10_000), encodings(10_000, seed=1)
    whole = [score(mean, var=var) for mean, var in (a, b)]
    cut = [
        score(batches=lambda x=x, k=k: zip(*(np.array_split(y, k) for y in x), strict=True))
        for x, k in ((a, 7), (b, 3))
    ]
    expected = compare(whole, paired=True).differences[0]
    found = compare(cut, paired=True).differences[0]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_the_order_of_rows_matters_when_paired():
    mean, var = encodings(500)
    card, turned = score(mean, var=var), score(mean[::-1], var=var[::-1])
    assert compare([card, card], paired=True).differences[0]["mutual_information_se"] == 0
    assert compare([card, turned], paired=True).differences[0]["mutual_information_se"] > 0.01


def test_the_prior_counts_in_pairs():
    a, b = encodings(), encodings(seed=1)
    cards = [score(m, var=v, prior_mean=1.0, prior_var=4.0) for m, v in (a, b)]
    hand = [score((m - 1) / 2, var=v / 4) for m, v in (a, b)]
    expected = compare(hand, paired=True).differences[0]
    for name, value in compare(cards, paired=True).differences[0].items():
        assert value == pytest.approx(expected[name], rel=1e-6, abs=1e-12)


def test_clusters_count_as_one_draw_in_pairs():
    a, b = encodings(), encodings(seed=1)
    once = compare([score(m, var=v) for m, v in (a, b)], paired=True).differences[0]
    clusters = np.repeat(np.arange(50), 4)
    copies = [
        score(np.repeat(m, 4, axis=0), var=np.repeat(v, 4, axis=0), clusters=clusters)
        for m, v in (a, b)
    ]
    found = compare(copies, paired=True).differences[0]
    hand = once["mutual_information_se"] * widening(50)
    assert found["mutual_information_se"] == pytest.approx(hand, rel=0.1)
    assert found["mutual_information_se"] != pytest.approx(hand, rel=1e-3)  # of the jackknife


@pytest.mark.slow
def test_differences_of_two_encoders_cover_with_ten_clusters():
    """What both share cancels to first order: the linear error of Definition 2 covers in .83."""
    rng = np.random.default_rng(0)
    clusters, var = np.repeat(np.arange(10), 20), np.full((200, 4), 0.1)
    truth = 2 * np.log((1.1 * 1.5 + 0.1) / (1.5 + 0.1))
    covered = []
    for _ in range(200):
        shared = rng.normal(size=(10, 4))[clusters]
        mean = np.sqrt(1.05) * shared + np.sqrt(0.45) * rng.normal(size=(200, 4))
        cards = [
            score(k * mean, var=var, clusters=clusters, marginals=False)
            for k in (1.0, np.sqrt(1.1))
        ]
        found = compare(cards, paired=True).differences[0]
        off = abs(found["mutual_information"] - truth)
        covered.append(off <= 1.96 * found["mutual_information_se"])
    assert np.mean(covered) >= 0.92


def test_one_cluster_has_no_error_of_a_difference():
    mean, var = encodings()
    card = score(mean, var=var, clusters=np.zeros(len(mean)))
    assert compare([card, card], paired=True).differences[0]["kl_posterior_prior_se"] == np.inf


def with_metrics(seed, n=120, **given):
    """Scorecards of two encoders of the same factors."""
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(n, 2))
    codes = factors + np.random.default_rng(seed).normal(size=(n, 2))
    options = MetricOptions("mig", permutations=0, halves=10, latents="all")
    return score(codes, var=np.full((n, 2), 0.1), factors=factors, metrics=options, **given)


@pytest.mark.parametrize("given", [{}, {"clusters": np.repeat(np.arange(12), 10)}])
def test_errors_of_differences_of_metrics(given):
    """Paired over the same halves, of clusters too; of independent samples in quadrature."""
    cards = [with_metrics(1, **given), with_metrics(2, **given)]
    one, two = (card.metrics.metrics["mig@default"] for card in cards)
    value, error = compare(cards).metric_differences[0]["mig@default"]
    assert value == two.value - one.value
    assert error == pytest.approx(math.sqrt(one.standard_error**2 + two.standard_error**2))
    value, paired = compare(cards, paired=True).metric_differences[0]["mig@default"]
    assert value == two.value - one.value
    assert paired == compare_scores(one, two)[1]
    assert paired == pytest.approx(spread(two.half_values - one.half_values, one.draws, curved=1))
    assert abs(paired - error) > 1e-4
    assert one.draws == (12 if given else 120)


@pytest.mark.parametrize("other", [None, np.arange(120) // 20])
def test_pairs_have_the_same_clusters(other):
    """Of means alone too, whose halves would not be pairs."""
    rng = np.random.default_rng(0)
    mean, clusters = rng.normal(size=(120, 2)), np.repeat(np.arange(12), 10)
    cards = [score(mean, clusters=clusters), score(mean, clusters=other)]
    with pytest.raises(ValueError, match="must have the same clusters"):
        compare(cards, paired=True)
    compare(cards)
    again = score(mean, clusters=[f"donor {c:02}" for c in clusters])
    compare([cards[0], again], paired=True)


def test_each_is_compared_with_the_first():
    cards = [
        score(*encodings(seed=i)[:1], var=encodings(seed=i)[1], name=f"{i}") for i in range(3)
    ]
    both = compare(cards, paired=True)
    assert len(both.differences) == 2
    for card, difference in zip(cards[1:], both.differences, strict=True):
        value = card.mutual_information - cards[0].mutual_information
        assert difference["mutual_information"] == value
    assert "nats; each row minus encoder '0'; ± one standard error, paired over rows" in repr(both)


def test_one_card_is_no_comparison():
    mean, var = encodings()
    for cards in ([], [score(mean, var=var)]):
        with pytest.raises(ValueError, match=f"at least two scorecards; got {len(cards)}"):
            compare(cards)


def test_pairs_of_different_length():
    cards = [score(np.zeros((n, 2)), var=np.ones((n, 2))) for n in (5, 6)]
    with pytest.raises(ValueError, match="same rows; they have 5, 6"):
        compare(cards, paired=True)
    assert not compare(cards).paired


def test_one_row_has_no_error():
    cards = [score(np.ones((1, 2)), var=np.full((1, 2), v)) for v in (0.5, 0.2)]
    for paired in (True, False):
        both = compare(cards, paired=paired)
        assert both.differences[0]["mutual_information_se"] == math.inf
        assert json.loads(both.to_json())["differences"][0]["mutual_information_se"] is None


def test_different_widths_compare():
    cards = [score(*encodings(d=d)[:1], var=encodings(d=d)[1]) for d in (2, 5)]
    both = compare(cards, paired=True)
    assert both.to_frame()["d"].tolist() == [2, 5]
    assert both.differences[0]["kl_posterior_prior_se"] > 0


@pytest.mark.parametrize("order", [1, -1])
def test_means_only_beside_whole_cards(order):
    mean, var = encodings()
    both = compare([score(mean, var=var, name="whole"), score(mean, name="bare")][::order])
    assert both.differences == ({},)
    assert not both.paired
    frame = both.to_frame().set_index("name")
    assert math.isnan(frame.loc["bare", "mutual_information"])
    assert frame.loc["whole", "mutual_information"] > 0
    assert frame["active_units"].tolist() == [3, 3]
    assert "Differences" not in repr(both)
    assert "'bare' (means only)" in both.blocks()[0]["TRUST"]


def test_a_card_of_means_only_costs_the_others_nothing():
    mean, var = encodings()
    cards = [score(mean, var=var, name="a"), score(mean, name="bare")]
    cards.append(score(encodings(seed=1)[0], var=encodings(seed=1)[1], name="b"))
    both = compare(cards)
    assert both.differences[0] == {}
    alone = compare([cards[0], cards[2]])
    assert both.differences[1] == alone.differences[0]
    paired = compare(cards, paired=True)
    assert paired.differences[1] == compare([cards[0], cards[2]], paired=True).differences[0]
    assert "paired over rows" in " ".join(repr(paired).split())
    text = " ".join(repr(both).split())
    assert "Differences Def 1 Def 2 Def 4" in text.replace("─", "")
    assert [d["of"] for d in both.to_dict()["differences"]] == ["bare", "b"]


def test_as_dict_json_frame_and_text():
    a, b = encodings(), encodings(seed=1)
    cards = [score(a[0], var=a[1], name="runs/a.npz"), score(b[0], var=b[1], name="runs/b.npz")]
    both = compare(cards)
    content = json.loads(both.to_json())
    assert content == both.to_dict()
    assert content["schema"] == "dindic.comparison/1"
    assert content["files"] == [card.to_dict() for card in cards]
    frame = both.to_frame()
    assert frame["name"].tolist() == ["runs/a.npz", "runs/b.npz"]
    errors = [card.standard_errors["mutual_information"] for card in cards]
    assert frame["mutual_information_se"].tolist() == errors
    text = repr(both)
    assert "each row minus encoder 'a'; " in text
    assert "runs/" not in text
    assert "can be paired" in " ".join(text.split())
    assert "can be paired" not in " ".join(repr(compare(cards, paired=True)).split())
    assert both._repr_html_().count("<table>") == 4


def test_folders_are_kept_where_file_names_are_alike():
    mean, var = encodings()
    cards = [score(mean, var=var, name=f"{folder}/e.npz") for folder in ("one", "two")]
    assert [row[0] for row in compare(cards).blocks()[1].rows] == ["one", "two"]


def test_no_advice_to_pair_what_cannot_be_paired():
    cards = [score(np.zeros((n, 2)), var=np.full((n, 2), 0.5), name=f"{n}") for n in (5, 6)]
    assert "can be paired" not in " ".join(repr(compare(cards)).split())


def beta_sweep(number):
    """Encoders whose posteriors widen from the first to the last."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 3))
    cards = []
    for k in range(number):
        v = (k + 1) / (number + 1)
        name = f"runs/vae_z3_beta{k}_seed0.npz"
        cards.append(score(z * math.sqrt(1 - v), var=np.full_like(z, v), name=name))
    return cards


def test_definition_5_has_a_column_only_where_it_is_not_definition_4():
    cards = beta_sweep(2)
    assert "Def 5" not in repr(compare(cards))
    reports = [card.to_dict() for card in cards]
    reports[1]["kl_q_star_prior"] += 1.0
    assert "Def 5" in repr(compare(reports))


@pytest.mark.parametrize("number", [2, 8, 60])
def test_one_line_an_encoder(number):
    both = compare(beta_sweep(number), sort="kl_posterior_prior")
    overview = both.blocks()[1]
    assert [row[0] for row in overview.rows] == [f"beta{k}" for k in range(number)][::-1]
    shown = dict(zip(overview.columns, zip(*overview.rows, strict=True), strict=True))
    states = [shown[name] for name in ("used", "weak", "offset", "unused") if name in shown]
    for counts in zip(*states, strict=True):
        assert sum(map(int, counts)) == 3
    assert max(map(len, to_text([overview], 80).splitlines())) <= 80
    lines = to_text([overview], 80).splitlines()
    assert sum(line.startswith("beta") for line in (x.strip() for x in lines)) == number
    rates = both.to_frame()["kl_posterior_prior"].tolist()
    assert rates == sorted(rates)


def test_the_closest_to_its_prior():
    cards = beta_sweep(3)
    far = score(10 + cards[0].encodings.mean, var=np.full((400, 3), 0.1), name="far")
    lines = compare([far, cards[0]]).blocks()[0]
    assert lines["USED"] == "Every encoder uses 3 latents."
    near = score(np.zeros((400, 3)), var=np.ones((400, 3)), name="near")
    lines = compare([far, near]).blocks()[0]
    assert lines["PRIOR"].startswith(
        "Closest to its prior is 'near', at most 0.0000 nats; farthest is 'far'"
    )
    assert lines["USED"] == "'near' uses 0 of 3 latents, 'far' 3 of 3."
    lines = compare([near, far, cards[0]]).blocks()[0]
    assert lines["USED"] == "Used latents: 0 of 3 in 'near' to 3 of 3 in 'far'."


def sums(both):
    """The table of the sums over marginals."""
    tables = [block for block in both.blocks() if isinstance(block, Table)]
    return next(table for table in tables if table.title == "Aggregated posteriors")


def test_errors_of_sums_are_about_the_population():
    """As those of the latents in score, which have the shortfall in them."""
    z = np.random.default_rng(0).normal(size=(2, 200, 2))
    cards = [score(x, var=np.full_like(x, 0.01), name=f"{k}") for k, x in enumerate(z)]
    exact = cards[0].marginals
    error = exact.population_errors["total_information"]
    assert error > 1.2 * exact.standard_errors["total_information"]
    both = compare(cards)
    table = sums(both)
    assert table.rows[0][1] == with_error(exact.total_information, error)
    assert table.rows[0][2] == with_error(
        exact.total_kl_prior, exact.population_errors["total_kl_prior"]
    )
    assert "±: how far the value of all data may be" in table.note
    assert "≥" not in table.note
    frame = both.to_frame()
    plain = exact.standard_errors["total_information"]
    assert frame["marginals_total_information_se"][0] == plain


def test_sums_over_saturated_latents_are_bounds():
    z = np.random.default_rng(0).normal(size=(2, 200, 2))
    cards = [score(x, var=np.full_like(x, 1e-7), name=f"{k}") for k, x in enumerate(z)]
    exact = cards[0].marginals
    assert exact.saturated.all()
    for both in (compare(cards), compare([json.loads(card.to_json()) for card in cards])):
        table = sums(both)
        least = exact.total_information - 2 * exact.standard_errors["total_information"]
        assert table.rows[0][1] == f"≥ {least:.3f}"
        assert table.rows[0][2] == f"≥ {cards[0].distance.marginals.low:.3f}"
        assert "≥: lower bound, two standard errors down" in table.note


def test_the_column_of_trust_names_what_is_a_range_and_is_dropped_if_empty():
    """16 latents of 500 rows: I(x; z) is a range, though no single latent is saturated."""
    z = np.random.default_rng(0).normal(size=(500, 16))
    wide = with_joint(z * np.sqrt(0.9), var=np.full_like(z, 0.1), name="wide")
    assert wide.joint.saturated
    assert not wide.marginals.saturated.any()
    z = z[:, :1]
    plain = with_joint(z * np.sqrt(0.9), var=np.full_like(z, 0.1), name="plain")
    both = compare([wide, plain]).blocks()
    assert both[1].columns[-1] == "trust"
    assert [row[-1] for row in both[1].rows] == ["I(x; z) is a range", ""]
    assert both[0]["TRUST"] == "Read with care: 'wide' (I(x; z) is a range)."
    alone = compare([plain, plain]).blocks()
    assert "trust" not in alone[1].columns
    assert all(len(row) == len(alone[1].columns) for row in alone[1].rows)


def test_differences_are_those_to_the_reference():
    cards = beta_sweep(3)
    both = compare(cards, reference=cards[2].name)
    assert both.reference == 2
    for k, difference in zip(both.others, both.differences, strict=True):
        expected = cards[k].mutual_information - cards[2].mutual_information
        assert difference["mutual_information"] == expected
    assert {d["to"] for d in both.to_dict()["differences"]} == {cards[2].name}
    with pytest.raises(ValueError, match="reference must be one of"):
        compare(cards, reference="beta9")
    with pytest.raises(ValueError, match="sort must be one of distance, used"):
        compare(cards, sort="beta")


def test_saved_reports_compare_as_fresh_ones(tmp_path):
    cards = beta_sweep(3)
    paths = [tmp_path / f"{k}.json" for k in range(3)]
    for card, path in zip(cards, paths, strict=True):
        path.write_text(card.to_json())
    reports = [saved_report(path) for path in paths]
    assert [report["name"] for report in reports] == list(map(str, paths))
    saved = compare([r | {"name": c.name} for r, c in zip(reports, cards, strict=True)])
    fresh = compare(cards)
    assert repr(saved) == repr(fresh)
    assert saved.to_frame().equals(fresh.to_frame())
    with pytest.raises(ValueError, match="a saved report has no rows to be paired"):
        compare([saved_report(path) for path in paths], paired=True)
    paths[0].write_text("[]")
    with pytest.raises(ValueError, match="a report of dindic.score/1 is needed"):
        saved_report(paths[0])
    paths[0].write_text("{")
    with pytest.raises(ValueError, match="this is no JSON report"):
        saved_report(paths[0])


@given(st.integers(0, 10_000))
def test_groups_of_rows_are_encoders_of_their_own(seed):
    mean, var = encodings(60, 3, seed)
    groups = np.random.default_rng(seed).integers(3, size=60)
    groups[:3] = 0, 1, 2
    by = compare_by(Encodings.of(mean, var), groups, marginals=False)
    for k, line in enumerate(by.lines):
        rows = groups == k
        expected = score(mean[rows], var=var[rows], marginals=False)
        assert line.n == rows.sum()
        assert line.values["mutual_information"] == pytest.approx(
            expected.mutual_information, rel=1e-12
        )


def test_groups_by_the_name_of_a_factor():
    mean, var = encodings(60, 3)
    factors = {"batch": ["a", "b", "c"] * 20, "size": np.arange(60) % 2}
    made = Encodings.of(mean, var, factors=pd.DataFrame(factors), labels=np.arange(60) % 4)
    assert [line.name for line in compare_by(made, "batch", reference="b").lines] == [
        "a",
        "b",
        "c",
    ]
    assert len(compare_by(made, "labels").lines) == 4
    with pytest.raises(ValueError, match="by must be one of labels, batch, size; got 'donor'"):
        compare_by(made, "donor")
    with pytest.raises(ValueError, match="by must have 2 to 200 groups; there are 1"):
        compare_by(made, np.zeros(60))


def test_an_overfit_encoder_shows_between_its_splits():
    rng = np.random.default_rng(0)
    n = 2000
    mean = np.r_[rng.normal(size=(n, 2)), 1.3 * rng.normal(size=(n, 2))]
    by = compare_by(
        Encodings.of(mean, np.full_like(mean, 0.05)), np.repeat(["a train", "test"], n)
    )
    (difference,) = by.differences
    assert difference["kl_posterior_prior"] > 5 * difference["kl_posterior_prior_se"]


def test_ranges_of_the_joint_are_those_of_the_reports():
    """Few clusters widen a range by Student's t, in a comparison as in the report."""
    mean, var = encodings(60, 2)
    clusters = np.arange(60) % 10
    cards = [score(mean, var=k * var, clusters=clusters, joint=200) for k in (1, 2)]
    for line, card in zip(compare(cards).lines, cards, strict=True):
        for name, ends in line.joint.items():
            assert ends == pytest.approx(span(card.joint, name), rel=1e-12), name


def test_one_encoder_with_variances_is_not_the_farthest_too():
    mean, var = encodings()
    lines = compare([score(mean, var=var, name="whole"), score(mean, name="bare")]).blocks()[0]
    assert "farthest" not in lines["PRIOR"]
    assert "whole" in lines["PRIOR"]


def test_without_a_distance_the_nearest_upper_end_comes_first():
    """Two encoders show none; what is known of the second one is less."""
    rng = np.random.default_rng(0)
    collapsed = score(np.zeros((400, 2)), var=np.ones((400, 2)), name="collapsed")
    used = score(np.sqrt(0.9) * rng.normal(size=(400, 2)), var=np.full((400, 2), 0.1), name="used")
    far = score(3.0 + rng.normal(size=(400, 2)), var=np.full((400, 2), 0.1), name="far")
    assert used.distance.total.low <= 5e-5 < used.distance.total.high
    found = compare([far, used, collapsed], sort="distance")
    assert [found.lines[k].name for k in found.order] == ["collapsed", "used", "far"]


@pytest.mark.parametrize("given", ["a.npz", Path("a.npz"), np.zeros((3, 2))])
def test_what_is_no_scorecard_is_refused_with_what_makes_one(given):
    with pytest.raises(ValueError, match=r"compare takes scorecards.*score\(\.\.\.\)"):
        compare([given, given])
