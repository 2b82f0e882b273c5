"""score(): its values, what it takes, and what it refuses."""

import copy
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle_indicators import Encodings, Scorecard, score
from disentangle_indicators._errors import Undefined
from disentangle_indicators._sections import Asked, of_theorems
from disentangle_indicators.aggregate import joint
from disentangle_indicators.aggregate._joint_result import span
from disentangle_indicators.means import MeansOnly
from disentangle_indicators.supervised import MetricOptions
from disentangle_indicators.theorems import theorems
from disentangle_indicators.unsupervised import UNSUPERVISED

EXAMPLE = Path(__file__).parents[1] / "examples" / "data" / "mnist_vae.npz"
TO_SCALE = {
    "var": lambda var: var,
    "std": np.sqrt,
    "logvar": np.log,
    "logstd": lambda var: np.log(var) / 2,
}
TOTALS = ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior", "kl_q_star_prior")


def encodings(n=60, d=4, seed=0):
    """Means and variances of latents between well used and unused."""
    rng = np.random.default_rng(seed)
    width = np.linspace(0.05, 1, d)
    mean = rng.normal(size=(n, d)) * np.sqrt(1.001 - width)
    return mean, width * np.exp(0.1 * rng.normal(size=(n, d)))


@pytest.fixture
def pair():
    return encodings()


drawn = st.builds(encodings, st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))


@pytest.fixture(scope="module")
def example():
    with np.load(EXAMPLE) as file:
        return {key: file[key] for key in file.files}


def by_hand(mean, logvar):
    """Definitions 1, 2, 4 and 5, and the standard error of 2, in plain float64."""
    mean, logvar = mean.astype(np.float64), logvar.astype(np.float64)
    u = mean**2 + np.exp(logvar)
    second, level = u.mean(axis=0), logvar.mean(axis=0)
    rate = 0.5 * np.sum(second - level - 1)
    information = 0.5 * np.sum(np.log(second) - level)
    influence = 0.5 * np.sum(u / second - logvar, axis=1)
    return {
        "kl_posterior_prior": rate,
        "mutual_information": information,
        "kl_aggregate_prior": rate - information,
        "kl_q_star_prior": 0.5 * np.sum(second - 1 - np.log(second)),
        "error": influence.std(ddof=1) / np.sqrt(len(mean)),
    }


def test_the_example_has_its_known_values(example):
    card = score(example["mu"], logvar=example["logvar"], labels=example["labels"])
    assert round(card.kl_posterior_prior, 3) == 19.327
    assert round(card.mutual_information, 3) == 19.319
    assert round(card.kl_aggregate_prior, 4) == 0.0081
    assert round(card.kl_q_star_prior, 4) == 0.0081
    assert round(card.standard_errors["mutual_information"], 3) == 0.038
    assert card.used == 10
    assert card.used_range[0] == 0.0
    assert 1.43 < card.used_range[1] < 1.44
    assert card.factors == ({"name": "labels", "kind": "categorical", "values": 10, "missing": 0},)


def test_the_example_agrees_with_plain_numpy(example):
    expected = by_hand(example["mu"], example["logvar"])
    card = score(example["mu"], logvar=example["logvar"])
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(expected[name], abs=2e-6), name
    error = card.standard_errors["mutual_information"]
    assert error == pytest.approx(expected["error"], rel=1e-5)
    quadrature = np.linalg.norm(card.standard_errors["mutual_information_per_latent"])
    assert round(float(quadrature), 3) == 0.025


@given(drawn)
def test_values_agree_with_plain_numpy(pair):
    expected = by_hand(pair[0], np.log(pair[1]))
    card = score(pair[0], var=pair[1], joint=False)
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(expected[name], rel=1e-9, abs=1e-12)
    assert card.standard_errors["mutual_information"] == pytest.approx(
        expected["error"], rel=1e-9, abs=1e-9
    )
    assert card.mutual_information == pytest.approx(card.mutual_information_per_latent.sum())
    assert card.kl_posterior_prior == pytest.approx(card.kl_posterior_prior_per_latent.sum())


@pytest.mark.parametrize("scale", TO_SCALE)
def test_scales_agree(pair, scale):
    expected = score(pair[0], var=pair[1])
    card = score(pair[0], **{scale: TO_SCALE[scale](pair[1])})
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(getattr(expected, name), rel=1e-12)
    assert card.verdict == expected.verdict


def _lists(values):
    return values.tolist()


def _frame(values):
    import pandas as pd

    return pd.DataFrame(values, columns=[f"z{i}" for i in range(values.shape[1])])


def _torch(values):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(values).requires_grad_()


@pytest.mark.parametrize("kind", [_lists, _frame, _torch, np.asfortranarray])
@pytest.mark.parametrize("scale", TO_SCALE)
def test_arrays_of_any_kind(pair, kind, scale):
    values = TO_SCALE[scale](pair[1])
    expected = score(pair[0], **{scale: values})
    card = score(kind(pair[0]), **{scale: kind(values)})
    assert isinstance(card.mutual_information, float)
    assert isinstance(card.second_moment, np.ndarray)
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(getattr(expected, name), rel=1e-12)
    np.testing.assert_allclose(
        card.mutual_information_per_latent, expected.mutual_information_per_latent
    )


def test_arguments_are_left_alone(pair):
    before = [values.copy() for values in pair]
    for values in pair:
        values.setflags(write=False)
    score(pair[0], std=pair[1], prior_mean=1.0, prior_var=2.0)
    np.testing.assert_array_equal(pair, before)


@given(drawn, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(pair, random):
    order = random.sample(range(len(pair[0])), len(pair[0]))
    card, other = (
        score(pair[0], var=pair[1], joint=False),
        score(pair[0][order], var=pair[1][order], joint=False),
    )
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(card.second_moment, other.second_moment, rtol=1e-12)
    assert card.states == other.states


@given(drawn, st.randoms(use_true_random=False))
def test_the_order_of_latents_moves_rows_of_the_table_only(pair, random):
    order = random.sample(range(pair[0].shape[1]), pair[0].shape[1])
    card, other = (
        score(pair[0], var=pair[1], joint=False),
        score(pair[0][:, order], var=pair[1][:, order], joint=False),
    )
    renumbered = {k: re.sub(r"latent \d+", "latent", v) for k, v in card.verdict.items()}
    assert {k: re.sub(r"latent \d+", "latent", v) for k, v in other.verdict.items()} == renumbered
    assert [card.states[h] for h in order] == list(other.states)
    table, moved = card.blocks()[1], other.blocks()[1]
    assert table.title == moved.title == "Latents, by information"
    renamed = [(str(order[int(row[0])]), *row[1:]) for row in moved.rows]
    assert renamed == list(table.rows)


@given(drawn, st.randoms(use_true_random=False))
def test_signs_of_latents_do_not_matter(pair, random):
    signs = np.array([random.choice([-1.0, 1.0]) for _ in range(pair[0].shape[1])])
    card, other = (
        score(pair[0], var=pair[1], joint=False),
        score(pair[0] * signs, var=pair[1], joint=False),
    )
    assert other.mutual_information == pytest.approx(card.mutual_information, rel=1e-12)
    assert other.gaussian_total_correlation == pytest.approx(
        card.gaussian_total_correlation, rel=1e-9, abs=1e-10
    )


@given(drawn, st.integers(0, 2**32 - 1))
def test_a_prior_is_a_change_of_variables(pair, seed):
    rng = np.random.default_rng(seed)
    centre, spread = rng.normal(size=pair[0].shape[1]), rng.uniform(0.1, 5, pair[0].shape[1])
    card = score(pair[0], var=pair[1], prior_mean=centre, prior_var=spread, joint=False)
    hand = score((pair[0] - centre) / np.sqrt(spread), var=pair[1] / spread, joint=False)
    for name in TOTALS:
        assert getattr(card, name) == pytest.approx(getattr(hand, name), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(card.second_moment, hand.second_moment)
    assert card.verdict == hand.verdict


def test_a_prior_of_means_only(pair):
    card = score(pair[0], prior_mean=2.0, prior_var=4.0)
    np.testing.assert_allclose(card.mean, (pair[0].mean(axis=0) - 2) / 2)
    np.testing.assert_allclose(card.mean_variance, pair[0].var(axis=0, ddof=1) / 4)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"prior_mean": np.zeros(3)}, "prior_mean must be one number or 4; got 3"),
        ({"prior_mean": np.arange(3.0)}, "prior_mean must be one number or 4; got 3"),
        ({"prior_var": np.ones(5)}, "prior_var must be one number or 4; got 5"),
        ({"prior_var": np.zeros(4)}, "prior_var must be positive"),
        ({"prior_var": [1, 1, -1, 1]}, "prior_var must be positive"),
        ({"prior_mean": np.inf}, "prior_mean must be finite; got inf"),
    ],
)
@pytest.mark.parametrize("with_var", [True, False])
def test_priors_that_are_refused(pair, prior, message, with_var):
    with pytest.raises(ValueError, match=message):
        score(pair[0], var=pair[1] if with_var else None, **prior)


@given(drawn, st.lists(st.integers(1, 40), max_size=4))
def test_batches_give_what_the_arrays_give(pair, cuts):
    cuts = sorted({cut for cut in cuts if cut < len(pair[0])})
    parts = list(zip(np.split(pair[0], cuts), np.split(pair[1], cuts), strict=True))
    card, whole = (
        score(batches=lambda: iter(parts), joint=False),
        score(pair[0], var=pair[1], joint=False),
    )
    for name in (*TOTALS, "gaussian_total_correlation"):
        assert getattr(card, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=1e-10)
    for name in ("mutual_information", "kl_aggregate_prior"):
        assert card.standard_errors[name] == pytest.approx(
            whole.standard_errors[name], rel=1e-6, abs=1e-9
        )


def test_batches_of_means_only(pair):
    card = score(batches=lambda: [(pair[0][:7], None), (pair[0][7:], None)])
    assert isinstance(card.result, MeansOnly)
    np.testing.assert_allclose(card.mean_variance, pair[0].var(axis=0, ddof=1))


def test_what_batches_exclude(pair):
    with pytest.raises(ValueError, match="either mean or batches="):
        score()
    with pytest.raises(ValueError, match="either mean or batches="):
        score(pair[0], batches=lambda: [pair])
    with pytest.raises(ValueError, match="no batch"):
        score(batches=list)
    with pytest.raises(ValueError, match="batches"):
        score(batches=lambda: [pair], var=pair[1])


def test_two_scales_are_refused(pair):
    with pytest.raises(ValueError, match="give one of var, std, logvar and logstd; got var, std"):
        score(pair[0], var=pair[1], std=pair[1])


def test_a_scale_by_position_is_refused(pair):
    with pytest.raises(ValueError, match="name of its scale: give it as var=, std=, logvar= or"):
        score(*pair)


@pytest.mark.parametrize("scale", TO_SCALE)
def test_the_mean_as_its_own_scale_is_refused(pair, scale):
    with pytest.raises(ValueError, match=f"mean and {scale} are the same array"):
        score(pair[1], **{scale: pair[1].copy()})


def test_a_mean_that_starts_like_its_scale_is_not_refused():
    mean = np.ones((200, 2)) * 0.5
    var = mean.copy()
    mean[150] = 0.7
    assert score(mean, var=var).n == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", ["mean", "var", "std", "logvar", "logstd"])
def test_entries_that_are_not_finite_are_named(pair, key, value):
    scale = "var" if key == "mean" else key
    arrays = {"mean": pair[0], scale: TO_SCALE[scale](pair[1])}
    arrays[key][17, 3] = value
    with pytest.raises(ValueError, match=rf"{key} must be finite.*; {key}\[17, 3\] = {value}"):
        score(arrays.pop("mean"), **arrays)


@pytest.mark.parametrize("value", [0.0, -0.2])
@pytest.mark.parametrize("key", ["var", "std"])
def test_scales_that_are_not_positive_are_named(pair, key, value):
    pair[1][17, 3] = value
    with pytest.raises(
        ValueError, match=rf"{key} must be positive .*; {key}\[17, 3\] = {value:g}"
    ):
        score(pair[0], **{key: pair[1]})


def test_rows_are_counted_over_blocks():
    mean = np.zeros(((1 << 16) + 10, 1), np.float32)
    logvar = np.zeros_like(mean)
    logvar[-3] = np.nan
    with pytest.raises(ValueError, match=rf"logvar\[{(1 << 16) + 7}, 0\] = nan"):
        score(mean, logvar=logvar)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_means_only_that_are_not_finite_are_named(pair, value):
    pair[0][17, 3] = value
    with pytest.raises(ValueError, match=rf"mean must be finite; mean\[17, 3\] = {value}"):
        score(pair[0])


@pytest.mark.parametrize(
    ("mean", "var", "message"),
    [
        (np.ones((5, 2)), np.ones((4, 2)), r"same shape; got \(5, 2\) and \(4, 2\)"),
        (np.ones((0, 2)), np.ones((0, 2)), r"no rows; its shape is \(0, 2\)"),
        (np.ones((5, 0)), np.ones((5, 0)), r"no latents; its shape is \(5, 0\)"),
        (np.ones(5), np.ones(5), r"\(5,\)"),
        (np.ones((5, 2, 2)), np.ones((5, 2, 2)), r"shape \(n, d\); its shape is \(5, 2, 2\)"),
        (np.ones((5, 2), complex), np.ones((5, 2)), "real numbers; its dtype is complex128"),
        (np.array([["a"]]), np.ones((1, 1)), "mean must hold real numbers"),
        (np.array([[None, 1.0]]), np.ones((1, 2)), "mean must hold real numbers"),
    ],
)
@pytest.mark.parametrize("with_var", [True, False])
def test_arrays_that_are_refused(mean, var, message, with_var):
    if not with_var and mean.shape != var.shape:
        assert score(mean).n == len(mean)
        return
    with pytest.raises(ValueError, match=message):
        score(mean, var=var if with_var else None)


@pytest.mark.parametrize("threshold", [0, -1, np.nan, np.inf])
def test_thresholds_that_are_refused(pair, threshold):
    with pytest.raises(ValueError, match="threshold must be positive and finite; got"):
        score(pair[0], var=pair[1], threshold=threshold)


def test_an_offset_latent_is_not_used():
    """Definition 3 takes its offset for information; about its own mean there is none."""
    card = score(np.ones((50, 2)), var=np.full((50, 2), 0.5))
    assert card.mutual_information_per_latent.min() > 0.5
    assert card.states == ("offset", "offset")
    assert (card.used, card.offset) == (0, 2)
    assert card.used_range == (0.0, np.inf)
    assert "No latent is used" in card.verdict["USED"]
    assert "off zero" in card.verdict["DO"]


def test_the_threshold_counts(pair):
    information = score(pair[0], var=pair[1]).mutual_information_per_latent
    for threshold in (1e-3, 0.2, 0.5, 3.0):
        card = score(pair[0], var=pair[1], threshold=threshold)
        assert card.threshold == threshold
        assert card.used == int(np.sum(information > threshold))
        assert card.used + card.weak + card.unused == card.d


def test_factors_and_labels_are_described(pair):
    import pandas as pd

    n = len(pair[0])
    table = pd.DataFrame({"size": np.arange(n) % 3, "hue": np.ones(n)})
    labels = np.array(["cat", "dog"] * (n // 2))
    card = score(pair[0], var=pair[1], factors=table, labels=labels)
    assert card.factors == (
        {"name": "size", "kind": "ordinal", "values": 3, "missing": 0},
        {"name": "hue", "kind": "ordinal", "values": 1, "missing": 0},
        {"name": "labels", "kind": "categorical", "values": 2, "missing": 0},
    )
    assert "size (ordinal, 3 values), hue (ordinal, 1 value" in " ".join(repr(card).split())
    named = score(pair[0], factors=table.to_numpy(), factor_names=["a", "b"])
    assert [factor["name"] for factor in named.factors] == ["a", "b"]
    one = score(pair[0], factors=np.arange(n))
    (only,) = one.factors
    assert (only["name"], only["values"]) == ("factor_0", n)
    assert score(pair[0], var=pair[1]).factors == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": np.ones((59, 2))}, r"the shape \(60, K\); the shape is \(59, 2\)"),
        ({"factors": np.ones((60, 2)), "factor_names": ["a"]}, "factor_names must be 2 names"),
        ({"factors": np.ones((60, 2, 2))}, r"\(60, 2, 2\)"),
        ({"labels": np.ones(59)}, r"labels must have the shape \(60,\)"),
        ({"labels": np.ones((60, 2))}, r"labels must have the shape \(60,\)"),
        ({"clusters": np.ones(59)}, r"clusters must have the shape \(60,\)"),
    ],
)
def test_columns_that_do_not_fit(pair, changes, message):
    with pytest.raises(ValueError, match=message):
        score(pair[0], var=pair[1], **changes)


def test_clusters_of_copies_give_the_errors_of_the_originals(pair):
    once = score(pair[0], var=pair[1], clusters=np.arange(len(pair[0])))
    copies = [np.repeat(values, 3, axis=0) for values in pair]
    names = np.repeat([f"donor {i}" for i in range(len(pair[0]))], 3)
    card = score(copies[0], var=copies[1], clusters=names)
    assert card.n_clusters == len(pair[0])
    for name, error in once.standard_errors.items():
        np.testing.assert_allclose(card.standard_errors[name], error, rtol=1e-9, atol=1e-12)
    rows = score(pair[0], var=pair[1]).standard_errors["mutual_information"]
    assert rows < card.standard_errors["mutual_information"] < 1.2 * rows  # t, skewness and bias


def test_one_cluster_has_no_error(pair):
    card = score(pair[0], var=pair[1], clusters=np.zeros(len(pair[0])))
    assert card.standard_errors["mutual_information"] == np.inf
    assert json.loads(card.to_json())["standard_errors"]["mutual_information"] is None


def test_one_sample(pair):
    card = score(pair[0][:1], var=pair[1][:1])
    assert card.n == 1
    np.testing.assert_allclose(card.second_moment, pair[0][0] ** 2 + pair[1][0])
    assert card.standard_errors["kl_posterior_prior"] == np.inf
    assert np.all(card.mean_variance == 0)


def test_one_latent(pair):
    card = score(pair[0][:, :1], var=pair[1][:, :1])
    assert card.d == 1
    assert card.gaussian_total_correlation == pytest.approx(0, abs=1e-12)
    assert card.mutual_information == card.mutual_information_per_latent[0]
    known = card.distance
    assert known.dependence == (0, 0)
    assert known.total == known.marginals
    assert span(card.joint, "total_correlation") == (0, 0)
    assert not card.joint.vacuous


def test_active_units_and_normal_variances_are_counted_at_their_thresholds():
    signs = np.array([1.0, -1.0])[np.arange(100) % 2][:, None]
    mean = signs * np.sqrt(np.array([0.0098, 0.0101, 0.3, 0.5]) * 0.99)
    var = np.array([1.0, 0.2, 0.79, 0.62]) * np.ones_like(mean)
    card = score(mean, var=var)
    np.testing.assert_allclose(card.mean_variance, [0.0098, 0.0101, 0.3, 0.5])
    assert card.active_units == score(mean).active_units == 3
    assert card.normal_variance == 2


def test_a_latent_equal_to_the_prior_carries_nothing(pair):
    pair[0][:, 2], pair[1][:, 2] = 0.0, 1.0
    card = score(pair[0], var=pair[1])
    assert card.states[2] == "unused"
    assert card.mutual_information_per_latent[2] == pytest.approx(0, abs=1e-12)
    assert card.kl_posterior_prior_per_latent[2] == pytest.approx(0, abs=1e-12)


def test_fields_are_attributes(pair):
    made = Encodings.of(*pair, name="run 7").replaced(source="here", notes=("careful",))
    card = score(made)
    assert card.mutual_information == card.result.mutual_information
    assert card.q_star.converged
    assert (card.name, card.source, card.notes) == ("run 7", "here", ("careful",))
    with pytest.raises(AttributeError, match="nonsense"):
        card.nonsense  # noqa: B018
    with pytest.raises(AttributeError):
        card.used = 3
    means = score(pair[0])
    assert means.active_units == 3
    with pytest.raises(AttributeError):
        means.mutual_information  # noqa: B018


def test_copies_and_pickles(pair):
    card = score(pair[0], var=pair[1])
    assert copy.copy(card).used == card.used
    bare = pickle.loads(pickle.dumps(card.result))
    assert bare.mutual_information == card.mutual_information


@pytest.mark.parametrize("n", [1, 60])
@pytest.mark.parametrize("with_var", [True, False])
def test_json_is_strict_and_equals_the_dict(n, with_var):
    def refuse(word):
        raise AssertionError(word)

    mean, var = encodings(n)
    made = Encodings.of(mean, var if with_var else None, labels=np.arange(n), name="a")
    card = score(made.replaced(notes=("b",)))
    content = json.loads(card.to_json(), parse_constant=refuse)
    assert content == card.to_dict()
    assert content["schema"] == "dindic.score/1"
    described = {"name": "labels", "kind": "categorical", "values": n, "missing": 0}
    assert content["factors"] == [described]
    assert (content["name"], content["notes"]) == ("a", ["b"])
    assert sorted(content["verdict"]) == ["PRIOR", "TRUST", "USED"]
    assert len(content["states"]) == 4
    assert ("mutual_information" in content) == with_var
    assert len(card.to_json(indent=None).splitlines()) == 1


def test_the_dict_holds_the_arrays(pair):
    card = score(pair[0], var=pair[1])
    content = card.to_dict()
    np.testing.assert_allclose(content["second_moment"], (pair[0] ** 2 + pair[1]).mean(axis=0))
    assert content["used_range"] == list(card.used_range)
    assert content["q_star"]["converged"] is True
    assert "moments" not in content
    assert "batches" not in content


def test_the_frame_has_a_row_per_latent(pair):
    card = score(pair[0], var=pair[1])
    frame = card.to_frame()
    assert frame.index.name == "latent"
    assert frame["state"].tolist() == list(card.states)
    np.testing.assert_array_equal(frame["mean"], card.mean)
    errors = card.standard_errors["mutual_information_per_latent"]
    np.testing.assert_array_equal(frame["mutual_information_per_latent_se"], errors)
    means = score(pair[0]).to_frame()
    assert means["state"].tolist() == ["active"] * 3 + ["inactive"]


def test_the_repr_is_the_table(pair):
    text = repr(score(pair[0], var=pair[1], name="run 7"))
    assert text.startswith("run 7\n")
    flat = " ".join(text.split())
    assert "USED 1 of 4 latents is used: above 0.5 nats of information" in flat
    assert "I(x; z_h) [nats] Def 3 [nats]" in flat
    bare = " ".join(repr(score(pair[0], var=pair[1], marginals=False)).split())
    assert "latent information [nats]" in bare
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_html_is_escaped(pair):
    name = '<script>alert("x")</script>'
    page = score(pair[0], var=pair[1], name=name, labels=None)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<table>") == page.count("</table>") == 3
    named = score(pair[0], factors=np.ones((60, 1)), factor_names=["<b>"])._repr_html_()
    assert "<b>USED</b>" in named
    assert "&lt;b&gt;" in named


def test_the_card_is_a_card(pair):
    assert isinstance(score(pair[0], var=pair[1]), Scorecard)


@settings(max_examples=20)
@given(drawn, st.integers(1, 4))
def test_threads_change_nothing(pair, threads):
    one, many = (
        score(pair[0], var=pair[1], joint=False),
        score(pair[0], var=pair[1], threads=threads, joint=False),
    )
    assert one.to_dict() == many.to_dict()


def factors_of(mean):
    return np.clip(np.round(mean[:, :2] + 1.5), 0, 3).astype(int)


def test_metrics_are_a_part_of_the_card(pair):
    mean, var = pair
    options = MetricOptions(["mig", "mcc"], permutations=4)
    card = score(mean=mean, var=var, factors=factors_of(mean), metrics=options)
    assert list(card.metrics.metrics) == ["mig@default", "mcc@default"]
    wanted = card.metrics.to_dict()
    assert wanted.pop("provenance")["parameters"]["permutations"] == 4
    assert card.to_dict()["metrics"] == wanted
    assert card.metrics.metrics["mig@default"].permutations == 4
    text = " ".join(repr(card).split())
    assert "mig@default" in text
    assert "Supervised metrics of it" not in text
    assert score(mean=mean, var=var, factors=factors_of(mean)).metrics is None
    json.loads(card.to_json(), parse_constant=pytest.fail)


def test_theorems_are_a_part_of_the_card_where_the_joint_is_of_all_rows(pair):
    mean, var = pair
    card = score(mean, var=var, theorems=True)
    alone = theorems(mean, var, axes=False)
    assert [one.assumption for one in card.theorems.findings] == [
        one.assumption for one in alone.findings
    ]
    np.testing.assert_array_equal(card.theorems.information, alone.information)
    assert card.theorems["Definition 1 = I(x; z) + KL(q(z) || p)"].value == card.joint.residual
    assert "Theorem 2" in repr(card)
    assert card.theorems["all rotations are as good"].sentence == (
        "There is nothing to rotate: one latent is used."
    )
    of_some = joint(mean[:30], var[:30])
    with pytest.raises(Undefined, match="they need the joint of all rows"):
        of_theorems(
            card.encodings, card.result, of_some, Asked(0.5, None, None, 9, False, None, 0)
        )
    assert card.to_dict()["theorems"]["used"] == list(card.theorems.used)
    assert score(mean, var=var).theorems is None
    without = score(mean, var=var, theorems=True, joint=False)
    assert without.theorems is None
    assert without.reasons["theorems"].startswith("they need the joint of all rows")
    means = score(mean, theorems=True)
    assert "theorems need the posterior variances" in means.reasons["theorems"]


def test_scores_of_the_codes_alone_have_names_of_their_own(pair):
    mean, var = pair
    card = score(
        mean=mean, var=var, factors=factors_of(mean), metrics=MetricOptions("mig", permutations=0)
    )
    assert set(card.unsupervised.scores) == set(UNSUPERVISED)
    assert not set(UNSUPERVISED) & set(card.to_dict())
    text = " ".join(repr(card).split())
    assert text.count("gaussian_total_correlation ") == 1
    found = card.unsupervised.scores["gaussian_total_correlation_of_codes"]
    assert f"gaussian_total_correlation_of_codes {found:.3f}" in text


def test_metrics_of_batches_are_those_of_the_arrays(pair):
    mean, var = pair
    given = {"factors": factors_of(mean), "metrics": MetricOptions("mig", permutations=4)}
    whole = score(mean=mean, var=var, **given).metrics
    parts = score(batches=lambda: [(mean[:20], var[:20]), (mean[20:], var[20:])], **given).metrics
    assert parts.to_json() == whole.to_json()


def test_metrics_name_the_columns_of_a_data_frame(pair):
    pandas = pytest.importorskip("pandas")
    mean, var = pair
    frame = pandas.DataFrame(factors_of(mean), columns=["shape", "size"])
    card = score(mean=mean, var=var, factors=frame, metrics=MetricOptions("mig", permutations=0))
    assert card.metrics.metrics["mig@default"].factors == ("shape", "size")


def test_metrics_need_factors_and_names_that_exist(pair):
    mean, var = pair
    with pytest.raises(
        ValueError, match="metrics need ground-truth factors or labels; there are none"
    ):
        score(mean=mean, var=var, metrics="mig")
    with pytest.raises(ValueError, match="no metric is called 'migg'; there is mig"):
        score(mean=mean, var=var, factors=factors_of(mean), metrics="migg")
    with pytest.raises(ValueError, match="no protocol is called 'nobody'; there is default"):
        MetricOptions("mig", protocol="nobody")


def test_no_sentence_names_an_option_of_the_command_line():
    mean, var = np.eye(60), np.ones((60, 60))
    large = score(mean, var=var, labels=np.arange(60) % 2, marginals=False)
    text = " ".join([str(large), *large.reasons.values()])
    assert (
        "Ground truth: labels (categorical, 2 values). Supervised metrics of it were not" in text
    )
    assert "--metrics" not in text
    assert "--marginals" not in text


@pytest.mark.parametrize("streamed", [False, True])
def test_where_the_joint_takes_long_it_is_that_of_random_rows(streamed):
    """In units of the prior, like the joint of all rows, and with a range for the population."""
    rng = np.random.default_rng(0)
    n = 40_000
    mean = rng.normal(size=(n, 4)) * [0.9, 0.9, 0.5, 0.0]
    var = np.broadcast_to([0.19, 0.19, 0.75, 1.0], mean.shape)
    prior = {"prior_mean": [3.0, 0, 0, 1], "prior_var": [4.0, 1, 1, 1]}
    shifted = mean * np.sqrt(prior["prior_var"]) + prior["prior_mean"]
    scaled = var * prior["prior_var"]
    parts = [(shifted[k : k + 7000], scaled[k : k + 7000]) for k in range(0, n, 7000)]
    given = {"batches": parts} if streamed else {"mean": shifted, "var": scaled}
    found = score(**given, **prior, name="x").joint
    assert found.n == 4096
    assert found.dependence.startswith("The joint is of 4096 random rows of 40000")
    assert "exact for these 4096 rows" in " ".join(str(found).split())
    truth = -0.5 * float(np.log([0.19, 0.19, 0.75]).sum())
    low, high = found.mutual_information_low, found.mutual_information_high
    margin = 5 * found.standard_errors["mutual_information_low"]
    assert low - margin < truth < high + margin
    again = score(mean, var=var).joint
    assert again.mutual_information == pytest.approx(found.mutual_information, abs=1e-9)
    assert score(mean, var=var, clusters=np.arange(n) // 2).reasons["joint"].startswith("it takes")


@pytest.mark.parametrize("joint", ["yes", 1.5, [1]])
def test_a_joint_that_is_no_number_of_points_is_refused_in_words(joint):
    with pytest.raises(ValueError, match="joint must be True, False, None or a number of points"):
        score(np.eye(2), var=np.ones((2, 2)), joint=joint)
