"""The object for the posteriors of an encoder: checked once, in units of the prior, kept once."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import encodings as some_encodings
from strategies import rngs, to

from disentangle_indicators import Encodings, Moments, read_encodings, score, write_encodings
from disentangle_indicators import _array as edge
from disentangle_indicators._errors import Undefined
from disentangle_indicators._scales import SCALES
from disentangle_indicators.aggregate import _marginals, certify, joint, marginals
from disentangle_indicators.posteriors import CODES, LATENTS
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.states import ACTIVE_UNIT
from disentangle_indicators.supervised import MetricOptions, channel, check_claim, find

WIDTH = np.array([0.05, 0.6, 1.0])


@pytest.fixture
def pair():
    """Latents that are used, weak, and not used."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(500, 3)) * np.sqrt(1 - WIDTH)
    return mean, np.broadcast_to(WIDTH, mean.shape)


def with_factors(pair, **more):
    mean, var = pair
    factors = np.stack([mean[:, 0] > 0, mean[:, 1] > 0.2], axis=1)
    return Encodings.of(mean, var, factors=factors, **more)


# What it holds.


@given(data=some_encodings(min_n=2, max_n=60), rng=rngs, scale=st.sampled_from([*SCALES, ""]))
def test_some_rows_are_those_of_the_arrays_however_they_come(data, rng, scale):
    mean, var = data
    stated = {"var": var, "std": np.sqrt(var), "logvar": np.log(var), "logstd": np.log(var) / 2}
    given = {scale: stated[scale]} if scale else {}
    n = len(mean)
    beside = {"labels": np.arange(n) % 3, "clusters": np.arange(n) // 2, "prior_var": 2.0}
    whole = Encodings.of(mean, **given, factors=np.arange(n)[:, None] % 5, **beside)
    rows = np.flatnonzero(rng.random(n) < 0.5)
    rows = rows if rows.size else np.array([n - 1])
    if scale:  # in blocks of a few rows
        parts = [slice(i, i + 7) for i in range(0, n, 7)]
        stored = lambda _: ((mean[p], stated[scale][p]) for p in parts)
        whole = whole.replaced(stored=stored)
    some = whole.take(rows)
    np.testing.assert_array_equal(some.mean, whole.mean[rows])
    if scale:
        np.testing.assert_array_equal(some.var, whole.var[rows])
    assert (some.n, some.scale, some.prior_var) == (len(rows), scale, 2.0)
    np.testing.assert_array_equal(some.labels, rows % 3)
    np.testing.assert_array_equal(some.clusters, rows // 2)
    np.testing.assert_array_equal(some.factors.to_array()[:, 0], rows % 5)


@given(data=some_encodings(min_n=2), scale=st.sampled_from(SCALES))
def test_every_scale_gives_the_variances(xp, data, scale):
    mean, var = data
    stated = {
        "var": var,
        "std": np.sqrt(var),
        "logvar": np.log(var),
        "logstd": np.log(var) / 2,
    }[scale]
    mean_, stated = to(xp, mean, stated)
    if scale == "var":
        found = Encodings.of(mean_, stated)
    else:
        found = Encodings.of(mean_, **{scale: stated})
    assert (found.n, found.d, found.scale) == (*mean.shape, scale)
    np.testing.assert_allclose(np.asarray(found.var), var, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(found.mean), mean)


@given(
    data=some_encodings(min_n=2),
    centre=st.floats(-3, 3),
    spread=st.floats(0.1, 10),
    rows=st.integers(1, 7),
)
def test_the_prior_is_applied_once(data, centre, spread, rows):
    mean, var = data
    found = Encodings.of(mean, logvar=np.log(var), prior_mean=centre, prior_var=spread)
    wanted = (mean - centre) / np.sqrt(spread), var / spread
    for ours, theirs in zip((found.mean, found.var), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    parts = list(found.batches(rows))
    assert [len(part) for part, _ in parts[:-1]] == [rows] * (len(parts) - 1)
    for k, whole in enumerate(wanted):
        pieces = np.concatenate([part[k] for part in parts])
        np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-12)
    moments = Moments.of(*wanted)
    np.testing.assert_allclose(found.moments.second_moment, moments.second_moment, rtol=1e-9)
    again = Encodings.of(found, prior_mean=centre, prior_var=spread)
    np.testing.assert_array_equal(again.mean, found.mean)


def test_arrays_batches_and_a_file_are_the_same_encodings(tmp_path, pair):
    mean, var = pair
    path = write_encodings(tmp_path / "a.npz", mean, var=var, clusters=np.arange(500) // 5)
    made = (
        Encodings.of(mean, var, prior_var=2.0),
        Encodings.of(batches=[(mean[:100], var[:100]), (mean[100:], var[100:])], prior_var=2.0),
        read_encodings(path, prior_var=2.0),
    )
    for found in made:
        assert (found.n, found.d) == (500, 3)
        np.testing.assert_allclose(found.var, var / 2, rtol=1e-12)
        assert found.used(threshold=0.1) == made[0].used(threshold=0.1)
        np.testing.assert_allclose(
            found.marginals.information, made[0].marginals.information, atol=1e-9
        )
    assert made[2].clusters.tolist() == (np.arange(500) // 5).tolist()
    assert made[2].cluster_codes[0] == 100


def test_what_is_added_later_leaves_what_is_kept(pair):
    first = Encodings.of(*pair)
    moments, exact = first.moments, first.marginals
    named = Encodings.of(first, name="a", labels=np.arange(500) % 3, threads=2)
    assert (named.name, named.threads, first.name) == ("a", 2, "")
    assert named.moments is moments
    assert named.marginals is exact
    grouped = Encodings.of(first, clusters=np.arange(500) // 2)
    assert grouped.moments is moments
    assert grouped.marginals is not exact
    np.testing.assert_array_equal(grouped.marginals.information, exact.information)
    moved = Encodings.of(first, prior_var=4.0)
    assert moved.moments is not moments
    assert first.prior_var == 1.0


def test_it_is_immutable_and_not_pickled(pair):
    found = Encodings.of(*pair)
    with pytest.raises(AttributeError):
        found.n = 3
    with pytest.raises(TypeError, match="write_encodings"):
        pickle.dumps(found)
    card = score(found)
    assert pickle.loads(pickle.dumps(card)).encodings is None
    assert "500 rows x 3 latents; var" in repr(found)


def test_the_summary_is_computed_once_and_grows_on_demand(pair, monkeypatch):
    calls = []
    inner = Moments.of_checked.__func__

    def counted(cls, *args, **kwargs):
        calls.append(kwargs)
        return inner(cls, *args, **kwargs)

    monkeypatch.setattr(Moments, "of_checked", classmethod(counted))
    found = Encodings.of(*pair)
    assert found.summary().scatter is None
    assert found.summary() is found.summary()
    assert len(calls) == 1
    assert found.summary(covariance=True).scatter is not None
    assert found.moments.co_scatter is not None
    assert found.moments.scatter is not None
    assert found.summary() is found.moments
    assert len(calls) == 3


# One check for each array, one computation of the marginals, whatever is asked.


@pytest.fixture
def counts(monkeypatch):
    seen = {"pairs": 0, "finite": 0, "positive": 0, "marginals": 0}

    def counted(name, function):
        def call(*args, **kwargs):
            seen[name] += 1
            return function(*args, **kwargs)

        return call

    import disentangle_indicators._sources as module
    import disentangle_indicators.moments as moments_module

    for where in (module, moments_module):
        monkeypatch.setattr(where, "as_pair", counted("pairs", edge.as_pair))
    monkeypatch.setattr(module, "check_finite", counted("finite", edge.check_finite))
    monkeypatch.setattr(edge, "check_positive", counted("positive", edge.check_positive))
    monkeypatch.setattr(
        _marginals, "evaluate_arrays", counted("marginals", _marginals.evaluate_arrays)
    )
    return seen


@pytest.mark.parametrize("joint_too", [False, True])
def test_score_checks_each_array_once_and_has_one_set_of_marginals(pair, counts, joint_too):
    mean, var = pair
    factors = np.stack([mean[:, 0] > 0, mean[:, 1] > 0.2], axis=1)
    card = score(
        mean,
        var=var,
        factors=factors,
        clusters=np.arange(500) // 2,
        joint=500 * joint_too,
        certify=True,
        metrics=MetricOptions("mig,sap", permutations=3, halves=2),
    )
    assert card.reasons == {}
    assert card.channel is not None
    assert counts == {"pairs": 1, "finite": 1, "positive": 1, "marginals": 1}


def test_every_question_of_one_object_shares_its_marginals(pair, counts):
    found = with_factors(pair)
    joint(found, rng=0, points=200)
    assert marginals(found) is found.marginals
    certify(found)
    channel(found, rng=0)
    check_claim(find("mig")[0], found, halves=2)
    axes(found, rng=0)
    audit_rotations("mig", found, rotations=2, search=False, rng=0)
    score(found, joint=False)
    assert counts == {"pairs": 1, "finite": 1, "positive": 1, "marginals": 1}


# Used latents: one rule.


def test_used_latents_by_their_information(pair):
    found = Encodings.of(*pair)
    assert found.used() == [0]
    assert found.used(threshold=0.2) == [0, 1]
    assert found.used("all") == [0, 1, 2]
    assert found.used_or_none(50.0) == []


def test_near_deterministic_latents_are_used(pair):
    mean, var = pair
    assert Encodings.of(mean, var * [1e-6, 1, 1]).used() == [0]


def test_a_mean_off_zero_does_not_make_a_latent_used(pair):
    mean, var = pair
    assert Encodings.of(mean + [0, 0, 9.0], var).used() == [0]


def test_without_variances_by_the_variance_of_their_mean():
    z = np.random.default_rng(0).normal(size=(500, 3))
    z /= z.std(axis=0, ddof=1)
    weight = np.sqrt(ACTIVE_UNIT) * np.array([1.001, 0.999, 5.0])
    found = Encodings.of(z * weight)
    assert found.used() == [0, 2]
    assert found.used("all") == [0, 1, 2]
    assert found.described([0, 2]) == "the 2 of 3 latents that are active"


def test_order_and_sign_do_not_matter(pair):
    mean, var = pair
    assert Encodings.of(-mean[:, [2, 0, 1]], var[:, [2, 0, 1]]).used(threshold=0.2) == [1, 2]


@pytest.mark.parametrize(
    ("latents", "threshold", "error", "message"),
    [
        ("used", 50, Undefined, "no latent is used: of 3 latents none has information above 50"),
        ("some", 0.5, ValueError, "latents must be one of used, all; got 'some'"),
        ("used", 0.0, ValueError, "threshold must be positive"),
    ],
)
def test_none_is_undefined_and_nonsense_is_refused(pair, latents, threshold, error, message):
    with pytest.raises(error, match=message) as caught:
        Encodings.of(*pair).used(latents, threshold)
    assert isinstance(caught.value, Undefined) == (error is Undefined)


def test_no_active_latent_is_undefined(pair):
    with pytest.raises(Undefined, match="no latent is active: of 3 latents none has Var"):
        Encodings.of(pair[0] / 1e3).used()


def test_described(pair):
    found = Encodings.of(*pair)
    assert found.described([0, 2]) == "the 2 of 3 latents that are used"
    assert found.described([0, 1, 2]) == "all 3 latents"
    assert Encodings.of(pair[0][:, :1], pair[1][:, :1]).described([0]) == "the latent"


# Codes.


def test_means_are_the_codes(pair):
    assert np.array_equal(Encodings.of(*pair).codes(), pair[0])
    assert Encodings.of(pair[0].astype(np.float32)).codes("mean").dtype == np.float64


def test_samples_have_the_moments_of_the_posteriors(pair):
    mean, var = (x[:50] for x in pair)
    found = Encodings.of(mean, var)
    z = np.stack([found.codes("sample", seed) for seed in range(400)])
    error = np.sqrt(var / 400)
    assert np.all(np.abs(z.mean(axis=0) - mean) < 5 * error)
    assert np.all(np.abs(z.var(axis=0, ddof=1) / var - 1) < 5 * np.sqrt(2 / 399))
    assert np.array_equal(z[3], found.codes("sample", 3))


def test_samples_need_variances(pair):
    with pytest.raises(Undefined, match="a sample needs the posterior variances"):
        Encodings.of(pair[0]).codes("sample")
    with pytest.raises(ValueError, match="codes must be one of mean, sample; got 'both'"):
        Encodings.of(pair[0]).codes("both")
    assert CODES == ("mean", "sample")
    assert LATENTS == ("used", "all")


# What is refused when it is made.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either mean or batches="),
        ({"mean": np.ones((4, 2)), "batches": []}, "give either mean or batches="),
        ({"mean": np.ones(4)}, r"n, d\); its shape is \(4,\)"),
        ({"mean": np.ones((2, 4, 2))}, r"the shape \(n, d\); its shape is \(2, 4, 2\)"),
        ({"mean": np.full((4, 2), np.nan)}, r"mean must be finite; mean\[0, 0\] = nan"),
        ({"mean": np.ones((4, 2)), "var": np.zeros((4, 2))}, r"var must be positive.*var\[0, 0\]"),
        ({"mean": np.ones((4, 2)), "std": -np.ones((4, 2))}, "std must be positive"),
        ({"mean": np.ones((4, 2)), "logvar": np.full((4, 2), 800.0)}, "outside of 1e-304"),
        ({"mean": np.ones((4, 2)), "var": np.ones((3, 2))}, "the same shape"),
        ({"mean": np.eye(2), "var": np.ones((2, 2)), "std": np.ones((2, 2))}, "give one of var"),
        (
            {"mean": np.arange(4.0).reshape(2, 2) + 1, "var": np.arange(4.0).reshape(2, 2) + 1},
            "the same array",
        ),
        ({"batches": []}, "there is no batch"),
        ({"batches": 3}, "must be a list, or a callable"),
        (
            {"batches": [(np.eye(2), np.ones((2, 2)))], "logvar": np.eye(2)},
            "logvar= goes with mean",
        ),
        ({"mean": np.eye(2), "threads": 0}, "threads must be at least 1; got 0"),
        ({"mean": np.eye(2), "clusters": [1]}, r"clusters must have the shape \(2,\)"),
        ({"mean": np.eye(2), "labels": [1, 2, 3]}, r"labels must have the shape \(2,\)"),
        ({"mean": np.eye(2), "factors": [1, 2, 3]}, "factors must have the shape"),
        ({"mean": np.eye(2), "factor_names": ["a"]}, "without factors"),
        ({"mean": np.eye(2), "prior_var": 0}, "prior_var must be positive"),
        ({"mean": np.eye(2), "prior_mean": np.inf}, "prior_mean must be finite"),
        ({"mean": np.eye(2), "prior_mean": [1, 2, 3]}, "prior_mean must be one number or 2"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Encodings.of(**arguments)
    assert not isinstance(caught.value, Undefined)


def test_encodings_take_no_second_scale(pair):
    with pytest.raises(ValueError, match="var= goes with arrays"):
        Encodings.of(Encodings.of(*pair), pair[1])


def test_what_needs_variances_is_undefined_for_means(pair):
    found = Encodings.of(pair[0])
    for ask in (lambda: found.marginals, lambda: joint(found, rng=0), lambda: axes(found, rng=0)):
        with pytest.raises(Undefined, match="needs? the posterior variances"):
            ask()


def test_a_refusal_of_the_marginals_is_kept(pair, counts):
    mean, var = pair
    found = Encodings.of(mean * 1e3, var * 1e-30)
    for _ in range(2):
        with pytest.raises(Undefined, match="latent 0"):
            found.marginals  # noqa: B018
    assert counts["marginals"] == 1
    card = score(found)
    assert card.marginals is None
    assert "latent 0" in card.reasons["marginals"]


# Streams that are not what they were.


def test_batches_that_shrink_are_refused(pair):
    mean, var = pair
    calls = []

    def batches():
        calls.append(0)
        return [(mean, var)] if len(calls) < 3 else [(mean[:60], var[:60])]

    found = Encodings.of(batches=batches)
    with pytest.raises(ValueError, match="must give 500 rows at every call; now 60"):
        found.marginals  # noqa: B018


def test_a_file_that_has_changed_is_refused(tmp_path, pair):
    path = write_encodings(tmp_path / "a.npz", pair[0], var=pair[1])
    found = read_encodings(path)
    score(found, marginals=False)
    write_encodings(path, 3 * pair[0], var=pair[1])
    with pytest.raises(ValueError, match="has changed since it was opened"):
        score(found)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (lambda m, v: [(m, v), (m, None)], "batch 1 has no var, and the first one has a var"),
        (lambda m, v: [(m, None), (m, v)], "batch 1 has a var, and the first one has no var"),
        (lambda m, v: [(m, v, v)], r"batch 0 must be \(mean, var\); it has 3 parts"),
    ],
)
def test_mixed_batches_are_refused(pair, batches, message):
    with pytest.raises(ValueError, match=message):
        Encodings.of(batches=batches(*pair))


def test_arrays_are_not_held_twice():
    mean = np.zeros((70_000, 3), dtype=np.float32)
    mean[:, 0] = np.arange(70_000) % 7
    found = Encodings.of(mean, logvar=mean - 9)
    assert np.shares_memory(found.mean, mean)


def test_factors_can_be_renamed_and_kinds_need_factors(pair):
    found = with_factors(pair, factor_names=["a", "b"])
    again = Encodings.of(found, factor_names=["c", "d"], kinds={"c": "ordinal"})
    assert again.factors.names == ("c", "d")
    with pytest.raises(ValueError, match="kinds are given without factors"):
        Encodings.of(*pair, kinds={"a": "ordinal"})


def test_a_prior_of_another_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"prior_var must be one number or 3; got the shape \(3, 1\)"
    ):
        Encodings.of(np.eye(3), np.ones((3, 3)), prior_var=np.ones((3, 1)))


def test_clusters_of_mixed_objects_are_refused_by_name(pair):
    mixed = np.array(["a", 1] * 250, dtype=object)
    with pytest.raises(ValueError, match="both text and numbers"):
        Encodings.of(*pair, clusters=mixed)
    with pytest.raises(ValueError, match=r"clusters\[1\] is missing"):
        Encodings.of(*pair, clusters=["a", ""] * 250)


def test_the_report_names_what_counts_as_a_draw(pair):
    card = score(*pair[:1], var=pair[1], clusters=np.arange(500) // 10)
    text = " ".join(repr(card).split())
    assert "one standard error over 50 clusters" in text
    assert "because these rows are a sample; rows of one cluster count as one draw, of 50" in text
    assert "independent" not in text
    rows = " ".join(repr(score(pair[0], var=pair[1])).split())
    assert "one standard error over rows, which are taken as independent" in rows
    assert rows.count("independent") == 1


def test_inputs_beside_the_encodings_are_hashed(tmp_path, pair):
    path = write_encodings(tmp_path / "a.npz", pair[0], var=pair[1])
    np.save(tmp_path / "f.npy", np.arange(500) % 3)
    found = read_encodings(path, factors=tmp_path / "f.npy")
    inputs = score(found).provenance.to_dict()["inputs"]
    assert [Path(each["name"]).name for each in inputs] == ["a.npz", "f.npy"]
    assert all(len(each["sha256"]) == 64 for each in inputs)


def test_kinds_and_order_of_factors_survive_a_file(tmp_path, pair):
    pandas = pytest.importorskip("pandas")
    sizes = pandas.Categorical(["small", "large"] * 250, ["small", "large"], ordered=True)
    frame = pandas.DataFrame({"size": sizes, "angle": np.arange(500) % 8})
    direct = Encodings.of(*pair, factors=frame, kinds={"angle": "circular:8"}).factors
    for suffix in ("npz", "safetensors"):
        path = write_encodings(tmp_path / f"a.{suffix}", *pair[:1], var=pair[1], factors=direct)
        found = read_encodings(path).factors
        assert (found.kinds, found.classes) == (direct.kinds, direct.classes)
        assert found.periods[1] == 8
        np.testing.assert_array_equal(found.values, direct.values)


def test_copies_keep_the_encodings(pair):
    found = Encodings.of(*pair)
    assert copy.copy(found) is found
    assert copy.copy(score(found)).encodings is found


def test_nothing_drawn_has_no_seed(pair):
    assert score(pair[0], var=pair[1], joint=False).provenance.seed is None
    assert score(pair[0], var=pair[1], joint=200, rng=3).provenance.seed == 3
    with pytest.raises(ValueError, match="rng must be"):
        score(pair[0], var=pair[1], rng=None)
    with pytest.raises(ValueError, match="joint must be True, False, None or a number"):
        score(pair[0], var=pair[1], joint=250.7)


def test_a_seed_draws_other_numbers_than_the_data_were_drawn_with():
    """Noise of default_rng(0) on means of default_rng(0) would be the means once more."""
    mean = np.random.default_rng(0).standard_normal((2000, 2))
    noise = Encodings.of(mean, np.ones_like(mean)).codes("sample", 0) - mean
    assert abs(np.corrcoef(noise[:, 0], mean[:, 0])[0, 1]) < 5 / np.sqrt(2000)


def test_a_name_has_no_control_characters_and_one_line(tmp_path):
    mean, var = np.eye(3), np.ones((3, 3))
    assert Encodings.of(mean, var, name="a\x1b[31m\nb").name == r"a\x1b[31m\nb"
    path = tmp_path / "a\x1bb.npz"
    np.savez(path, mean=mean, var=var)
    assert read_encodings(path).name == rf"{tmp_path}/a\x1bb.npz"
