"""theorems(): findings on encoders with known truth."""

import json

import numpy as np
import pytest
from strategies import orthogonal
from test_theorems import linear_vae

from disentangle_indicators import Encodings, rotation, score
from disentangle_indicators._array import generator
from disentangle_indicators._errors import Undefined
from disentangle_indicators.theorems import theorems

PRIOR = "q(z) = p(z)"
TWO = "I(x; z) = sum of I(x; z_h)"
THREE = "Definition 1 = I(x; z) + KL(q(z) || p)"
ONE = "used latents = intrinsic dimension"


def gaussian(n=800, k=2, v=0.1, unused=1, seed=0):
    """Independent Gaussian latents whose aggregated posterior is the prior, and unused ones."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(n, k)) * np.sqrt(1 - v)
    mean = (mean - mean.mean(axis=0)) / mean.std(axis=0) * np.sqrt(1 - v)
    return (
        np.hstack([mean, 0.001 * rng.normal(size=(n, unused))]),
        np.hstack([np.full((n, k), v), np.ones((n, unused))]),
    )


@pytest.fixture(scope="module")
def ideal():
    return theorems(*gaussian(), noise=0.2)


def test_an_ideal_encoder_misses_nothing_that_its_rows_could_show(ideal):
    for assumption in (PRIOR, "q(z) is factorised", TWO):
        assert ideal[assumption].verdict in ("met", "not known")
    assert ideal[THREE].verdict == "holds"
    assert ideal[ONE].verdict == "met"
    assert ideal["all rotations are as good"].verdict in ("met", "not known")
    assert ideal["posteriors are deterministic"].verdict == "missed"
    assert ideal["posteriors are deterministic"].value == pytest.approx(9.0, rel=1e-6)
    assert ideal.kinds == ("active", "active", "passive")
    assert ideal.used == (0, 1)
    assert ideal.importance == pytest.approx([2.0, 2.0, 0.2])
    assert ideal.participation == pytest.approx(2.0, abs=0.01)


def test_the_report_is_plain_and_every_theorem_has_a_sentence(ideal):
    content = json.loads(ideal.to_json())
    assert content["schema"] == "dindic.theorems/1"
    assert content["counts"] == {"active": 2, "mixed": 0, "passive": 1}
    assert len(ideal.to_frame()) == len(ideal.findings) == 9
    text = repr(ideal)
    for theorem in ("Theorem 1", "Theorem 2", "Theorem 3", "Theorems 4, 5", "Corollaries 1, 2"):
        assert f"\n{theorem}" in text
    assert ideal.to_scalars()["used"] == 2
    assert max(map(len, text.splitlines())) <= 100


def test_one_factor_in_two_latents_is_counted_twice():
    """Theorem 2 and its total correlation; Theorem 1: two latents used, one dimension filled."""
    mean, var = gaussian(n=1200, k=1, v=0.02, unused=0)
    found = theorems(np.hstack([mean, mean]), np.hstack([var, var]), axes=False)
    assert found[TWO].verdict == "missed"
    assert found[TWO].low > 0.5
    assert found[ONE].verdict == "missed"
    assert found[ONE].value == pytest.approx(1.0, abs=5 * found[ONE].error)
    assert found.dimensions["samples"].two_nn > 1.5


def test_a_prior_that_is_not_met_is_missed_by_what_the_marginals_have():
    mean, var = gaussian()
    found = theorems(3 * mean, var, axes=False)
    assert found[PRIOR].verdict == "missed"
    assert found[PRIOR].low > 1


def test_the_linear_vae_has_the_eigenvalues_of_its_data():
    mean, var, values, s = linear_vae(np.random.default_rng(0), 300, 3, 3, 0.01)
    encodings = Encodings.of(mean, var).replaced(metadata={"beta": "2", "sigma2": str(s / 2)})
    found = theorems(encodings, axes=False)
    assert found.noise == pytest.approx(s)
    assert found.importance == pytest.approx(values, rel=1e-10)
    assert theorems(mean, var, axes=False).importance.sum() == pytest.approx(1)


def test_errors_of_latents_are_those_of_sampling_rows():
    """A share p of rows that use a latent has the error sqrt(p (1 - p) / n), by the jackknife."""
    rng = np.random.default_rng(0)
    mean, var = gaussian(n=2000)
    var[:, 0] = np.where(rng.random(2000) < 0.3, 0.1, 0.9)
    found = theorems(mean, var, axes=False)
    assert found.kinds[0] == "mixed"
    wanted = np.sqrt(0.3 * 0.7 / 2000)
    assert found.share_se[0] == pytest.approx(wanted, rel=5 / np.sqrt(2 * 19))


def test_clusters_reach_the_errors():
    mean, var = gaussian(n=600)
    mean, var = np.repeat(mean[:60], 10, axis=0), np.repeat(var[:60], 10, axis=0)
    mean = mean + 0.05 * np.random.default_rng(0).normal(size=mean.shape)
    clusters = np.repeat(np.arange(60), 10)
    rows = theorems(mean, var, axes=False)
    whole = theorems(mean, var, axes=False, clusters=clusters)
    assert whole.n_clusters == 60
    assert whole.signal_to_noise_se[0] > rows.signal_to_noise_se[0] * 0.99


def test_rows_at_most_are_drawn_at_random_with_all_that_belongs_to_them():
    """The findings are those of the rows that were drawn, whoever draws them."""
    mean, var = gaussian(n=900)
    clusters = np.arange(900) // 3
    data = np.random.default_rng(1).normal(size=(900, 6))
    asked = {"axes": False, "rng": 3}
    found = theorems(mean, var, clusters=clusters, data=data, rows=300, **asked)
    drawn = np.sort(generator(3).spawn(1)[0].choice(900, 300, replace=False))
    own = theorems(mean[drawn], var[drawn], clusters=clusters[drawn], data=data[drawn], **asked)
    assert (found.n, found.n_clusters) == (300, own.n_clusters)
    np.testing.assert_array_equal(found.information, own.information)
    np.testing.assert_array_equal(found.signal_to_noise, own.signal_to_noise)
    assert found.dimensions["data"].d == 6
    assert found.dimensions["data"].two_nn == own.dimensions["data"].two_nn
    assert found.notes[-1] == "300 random rows of 900"
    assert len(theorems(mean, var, axes=False).notes) == 1


def test_a_seed_gives_the_numbers_of_the_scorecard():
    mean, var = gaussian(n=300)
    alone = theorems(mean, var, axes=False, rng=3).to_dict()
    beside = score(mean, var=var, theorems=True, rng=3).theorems.to_dict()
    assert {name: alone[name] for name in beside if name != "provenance"} == beside


def test_one_latent_depends_on_no_other():
    found = theorems(*gaussian(k=1, unused=0), axes=False)
    assert (found["q(z) is factorised"].low, found["q(z) is factorised"].high) == (0, 0)
    assert found["q(z) is factorised"].verdict == found[TWO].verdict == "met"


def test_data_have_their_intrinsic_dimension():
    mean, var = gaussian(n=400)
    images = (
        np.random.default_rng(0).normal(size=(400, 2))
        @ orthogonal(np.random.default_rng(1), 9)[:2]
    )
    found = theorems(mean, var, data=images.reshape(400, 3, 3), axes=False)
    assert (
        abs(found.dimensions["data"].two_nn - 2)
        < 5 * found.dimensions["data"].standard_errors["two_nn"]
    )
    assert "the data 2." in found[ONE].sentence or "the data 1.9" in found[ONE].sentence
    with pytest.raises(ValueError, match="data must have the rows of mean, 400; got 399"):
        theorems(mean, var, data=images[1:])


def test_a_collapsed_encoder_has_findings_too():
    found = theorems(np.zeros((60, 2)), np.ones((60, 2)))
    assert found.used == ()
    assert found["posteriors are deterministic"].sentence == "No latent is used."
    assert found.kinds == ("passive", "passive")
    assert found.dimensions == {}
    assert "No latent is used" in repr(found)


def test_means_only_have_no_theorems():
    with pytest.raises(Undefined, match="theorems need the posterior variances"):
        theorems(np.eye(3))


def test_copies_are_no_clusters():
    rng = np.random.default_rng(0)
    mean = np.repeat(rng.normal(size=(100, 2)), 3, axis=0)
    found = theorems(mean, np.full(mean.shape, 0.1), axes=False)
    assert found.n_clusters is None
    assert found.notes == ("Copies of one row count as one draw, of 100.",)


def test_what_turns_remove_is_a_lower_bound_of_the_total_correlation():
    """A latent without noise saturates the joint; the turn of two others shows dependence."""
    rng = np.random.default_rng(0)
    turned = rng.uniform(-1.7, 1.7, size=(400, 2)) @ [[0.6, 0.8], [-0.8, 0.6]]
    mean = np.hstack([turned, rng.normal(size=(400, 1))])
    var = np.broadcast_to([0.05, 0.05, 1e-6], mean.shape)
    without, found = (theorems(mean, var, axes=axes) for axes in (False, True))
    axes = rotation.axes(mean, var)
    least = axes.total_gain - 2 * axes.standard_error
    for assumption in ("q(z) is factorised", TWO):
        assert without[assumption].verdict == "not known"
        assert found[assumption].verdict == "missed"
        assert found[assumption].low > 0.05
    assert found[TWO].low == pytest.approx(least, abs=2 * axes.standard_error)
    assert found[PRIOR].low >= found[TWO].low


def test_a_collapsed_encoder_has_no_kinds_no_participation_and_no_table_of_used_latents():
    """A posterior that is narrow in all rows alike shows nothing of a row."""
    mean = 1e-3 * np.random.default_rng(0).normal(size=(60, 6))
    found = theorems(mean, np.full(mean.shape, 1.0))
    assert (found.participation, found.participation_se) == (0, 0)
    assert "0 of 6 latents are used (0 active, 0 mixed, 6 passive; participation ratio 0.0)" in (
        found[ONE].sentence
    )
    assert "Used latents" not in repr(found)
    assert "There is nothing to rotate: no latent is used." in repr(found)
    mean = gaussian(n=60)[0]
    constant = np.hstack([mean[:, :2], np.zeros((60, 1))]), np.full((60, 3), 0.1)
    assert theorems(*constant, axes=False).kinds == ("active", "active", "passive")
    assert theorems(constant[0] + [0, 0, 2], constant[1], axes=False).kinds[2] == "passive"


@pytest.mark.parametrize("n", [1, 3, 7])
@pytest.mark.parametrize("axes", [None, False])
def test_few_rows_have_no_theorems(n, axes):
    mean, var = gaussian(n=100)
    with pytest.raises(Undefined, match=f"theorems need at least 8 rows; got {n}"):
        theorems(mean[:n], var[:n], axes=axes)
    with pytest.raises(Undefined, match=f"theorems need at least 8 rows; got {n}"):
        theorems(mean, var, rows=n, axes=axes)


def test_one_cluster_has_no_theorems():
    with pytest.raises(
        Undefined, match="theorems need at least 2 independent draws of rows; got 1"
    ):
        theorems(*gaussian(n=60), clusters=np.zeros(60))


def test_the_limits_of_the_verdicts_are_printed(ideal):
    text = " ".join(repr(ideal).split())
    for words in (
        "met: the whole range is below 0.01 nats; missed: the whole range is above",
        "met if the least signal/noise is above 1e+06",
        "met if the dimensions differ by less than 1, missed if by more than 0.5",
        "met if all pairs are arbitrary",
    ):
        assert words in text


def test_pairs_that_are_not_turned_have_a_reason():
    mean, var = gaussian(n=60, k=13)
    (many,) = (f for f in theorems(mean, var).findings if f.theorem == "Theorems 4, 5")
    assert many.sentence == (
        "Pairs of the 13 used latents were not turned, because they are more than 12: "
        "theorems(axes=True) turns them."
    )


def test_samples_of_copies_have_the_dimension_of_their_control():
    """The samples of twenty copies lie in one spot: only one of them is compared."""
    mean, var = gaussian(n=100, unused=0)
    alone = theorems(mean, var, axes=False).dimensions
    found = theorems(
        np.repeat(mean, 20, axis=0), np.repeat(var, 20, axis=0), axes=False
    ).dimensions
    assert {name: each.n for name, each in found.items()} == dict.fromkeys(alone, 100)
    error = np.hypot(*(alone[x].two_nn / 10 for x in ("samples", "control")))
    assert abs(found["samples"].two_nn - found["control"].two_nn) < 5 * error


def test_data_without_a_dimension_are_named():
    found = theorems(*gaussian(n=100), data=np.ones((100, 4)), axes=False)
    assert "data" not in found.dimensions
    assert found.notes[1] == (
        "There is no dimension of the data: the intrinsic dimension needs 42 distinct rows; there "
        "are 1."
    )


def test_small_variances_are_printed_with_an_exponent():
    assert "1.01e-299 ± " in repr(theorems(*gaussian(n=60, v=0.099), noise=1e-300, axes=False))


def test_one_latent_is_written_in_the_singular():
    text = " ".join(repr(theorems(*gaussian(n=100, k=1, unused=0))).split())
    assert "The mean of latent 0 varies 9 times as much as its posteriors" in text
    assert "1 of 1 latent is used" in text
    assert "its means fill" in text
    assert "one Gaussian has" in text
    assert "Its total correlation is 0 nats." in text
