"""compare(): values, paired errors, and what does not go together."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle_indicators import score
from disentangle_indicators.comparison import compare
from disentangle_indicators.supervised import MetricOptions, compare_scores
from disentangle_indicators.supervised._splits import spread

TOTALS = ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior")


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
    assert found["mutual_information_se"] == pytest.approx(once["mutual_information_se"], rel=1e-6)


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
    assert paired == pytest.approx(spread(two.half_values - one.half_values, one.draws))
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
    assert "1 - 0" in repr(both)
    assert "2 - 0" in repr(both)


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
    assert "needs the posterior variances" in " ".join(repr(both).split())


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
    assert "Differences (nats)" in text
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
    assert "b.npz - a.npz" in text
    assert "runs/" not in text
    assert "--paired" in text
    assert "--paired" not in repr(compare(cards, paired=True))
    assert both._repr_html_().count("<table>") == 2


def test_folders_are_kept_where_file_names_are_alike():
    mean, var = encodings()
    cards = [score(mean, var=var, name=f"{folder}/e.npz") for folder in ("one", "two")]
    assert "two/e.npz - one/e.npz" in repr(compare(cards))


def test_no_advice_to_pair_what_cannot_be_paired():
    cards = [score(np.zeros((n, 2)), var=np.full((n, 2), 0.5), name=f"{n}") for n in (5, 6)]
    assert "--paired" not in repr(compare(cards))
