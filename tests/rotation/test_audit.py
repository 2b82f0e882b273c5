"""audit_rotations: laws of the p-value, then the search, then the edges."""

import json
import os
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from disentangle_indicators._array import generator
from disentangle_indicators.rotation import Audits, _audit, _search, audit_rotations
from disentangle_indicators.rotation._orthogonal import givens, haar
from disentangle_indicators.rotation._search import joined, matrix, wrapped
from disentangle_indicators.supervised import METRICS, find, higgins, mig, score_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "dsprites_btcvae.npz"
FULL = Path(os.environ.get("DINDIC_DATA", "")) / "encodings" / "dsprites_btcvae.npz"

MIG, SAP = "mig@locatello2019", "sap@locatello2019-continuous"
"""Smooth in the angle, where bins of equal counts and thresholds are not."""

quick = partial(audit_rotations, rotations=19, rng=0)


def first_number(codes, factors, rng):
    """The first code of the first row: no symmetry at all, and as cheap as it gets."""
    return codes[0, 0]


def largest_fourth_moment(codes, factors, rng):
    return np.max(np.mean(codes**4, axis=0))


def total_variance(codes, factors, rng):
    return np.sum(np.var(codes, axis=0))


def ideal(n=600, k=3, levels=8, rng=0):
    """A code whose latents are the factors, and these."""
    factors = np.random.default_rng(rng).integers(levels, size=(n, k))
    return (factors - factors.mean()) / factors.std(), factors


def turned(mean, i, j, degrees):
    return mean @ givens(mean.shape[1], i, j, np.radians(degrees)).T


def p_values(score, repetitions, rotations=19, n=20, d=3, seed=0):
    """P-values of one code in random orientations, spread evenly over their steps."""
    rng = np.random.default_rng(seed)
    code = rng.standard_exponential((n, d)) - 1
    audits = [
        audit_rotations(
            score,
            code @ haar(d, rng).T,
            rotations=rotations,
            search=False,
            latents="all",
            rng=rng,
        )
        for _ in range(repetitions)
    ]
    return np.array([a.p_value for a in audits]) - rng.random(repetitions) / (rotations + 1)


@pytest.fixture(scope="module")
def rotated():
    """An ideal code of which latents 0 and 2 are turned by 30 degrees, and its audit."""
    code, factors = ideal()
    mean = turned(code, 0, 2, 30)
    return mean, factors, quick(MIG, mean, factors)


# The law of the p-value.


@pytest.mark.parametrize("score", [first_number, largest_fourth_moment])
def test_p_values_are_uniform_when_the_axes_are_arbitrary(score):
    assert kstest(p_values(score, 250), "uniform").pvalue > 1e-3


def test_haar_without_the_sign_fix_would_be_caught(monkeypatch):
    def raw(d, rng):
        return np.linalg.qr(rng.standard_normal((d, d)))[0]

    monkeypatch.setattr(_audit, "haar", raw)
    assert kstest(p_values(first_number, 250), "uniform").pvalue < 1e-6


@pytest.mark.parametrize(
    "metric", ["higgins", "mig", "sap", "rmig", "dcimig", "modularity", "mcc"]
)
def test_axes_of_an_ideal_code_beat_all_random_rotations(metric):
    mean, factors = ideal(n=1000, k=4)
    score = partial(higgins, train=400, evaluate=400, pairs=4) if metric == "higgins" else metric
    audit = quick(score, mean, factors, search=False)
    assert audit.metric == metric
    assert audit.p_value == 1 / 20
    assert audit.percentile == 100
    assert audit.score > audit.null.max()
    assert "beats random rotations: p = 0.05" in audit.sentences["RANDOM"]


def test_a_score_that_no_rotation_changes_is_said_to_be_one():
    mean = np.random.default_rng(0).normal(size=(100, 4)) * [3, 1, 0.5, 1e-3]
    audit = quick(total_variance, mean, latents="all")
    assert audit.p_value == 1
    assert audit.percentile == 50
    assert audit.null_sd == 0
    assert audit.best.turns == audit.worst.turns == ()
    assert np.array_equal(audit.best.matrix, np.eye(4))
    assert audit.best.gain == audit.best.gain_se == 0
    assert "does not beat" in audit.sentences["RANDOM"]
    assert "No better rotation was found" in audit.sentences["BETTER"]


def test_the_p_value_counts_ties_and_summaries_are_of_the_null():
    mean, factors = ideal(n=60, k=2)
    values = iter([2.0, 1.0, 2.0, 3.0, 0.0])
    audit = audit_rotations(
        lambda codes, factors, rng: next(values), mean, factors, rotations=4, search=False, rng=0
    )
    assert audit.score == 2
    assert audit.null.tolist() == [1, 2, 3, 0]
    assert audit.p_value == 3 / 5
    assert audit.percentile == 100 * 2.5 / 4
    assert audit.null_mean == 1.5
    assert audit.null_sd == pytest.approx(np.std([0, 1, 2, 3], ddof=1))
    assert audit.quantiles["0.5"] == 1.5


# The search.


def test_a_turn_by_30_degrees_is_found_with_its_gain(rotated):
    audit = rotated[-1]
    ((i, j, degrees),) = audit.best.turns
    assert (i, j) == (0, 2)
    assert degrees == pytest.approx(-30, abs=2)
    ideal_score = score_of(MIG, *ideal())
    assert audit.best.score == pytest.approx(ideal_score, abs=0.1)
    assert audit.best.gain > 0.3
    assert audit.best.certain
    assert "A better rotation exists: turn latents 0 and 2 by -30" in audit.sentences["BETTER"]


@pytest.mark.parametrize("degrees", [-41, -22.5, -17, 8, 26, 37, 45, 60])
def test_the_angle_is_found_modulo_90(degrees):
    mean, factors = ideal(k=2)
    audit = quick(SAP, turned(mean, 0, 1, degrees), factors, rotations=9)
    ((_, _, found),) = audit.best.turns
    assert -45 < found <= 45
    assert abs(wrapped(found + degrees)) < 2


def test_turns_of_several_pairs_are_found():
    mean, factors = ideal(k=4)
    audit = quick(MIG, turned(turned(mean, 0, 2, 30), 1, 3, -20), factors)
    found = {turn[:2]: turn[2] for turn in audit.best.turns if abs(turn[2]) > 5}
    assert found == {(0, 2): pytest.approx(-30, abs=3), (1, 3): pytest.approx(20, abs=3)}


def test_turns_that_share_a_latent_take_more_than_one_round():
    mean, factors = ideal(n=4000)
    audit = quick(SAP, turned(turned(mean, 0, 1, 40), 1, 2, 35), factors)
    assert score_of(SAP, mean, factors) - audit.best.score < 0.01
    assert len(audit.best.turns) > 1


def test_turns_are_applied_in_their_order():
    z = np.random.default_rng(0).normal(size=(5, 3))
    expected = turned(turned(z, 0, 1, 30), 1, 2, 20)
    assert np.allclose(z @ matrix(3, ((0, 1, 30.0), (1, 2, 20.0))).T, expected, atol=1e-14)


def test_small_turns_are_left_out(monkeypatch):
    mean, factors = ideal(k=2)
    mean = turned(mean, 0, 1, 8)
    assert quick(SAP, mean, factors).best.turns
    monkeypatch.setattr(_search, "SMALLEST", 10.0)
    audit = quick(SAP, mean, factors)
    assert audit.best.turns == ()
    assert audit.best.gain == 0


def test_the_matrix_is_that_of_the_turns_and_gives_the_scores(rotated):
    mean, factors, audit = rotated
    for found in (audit.best, audit.worst):
        assert found.turns
        assert np.allclose(found.matrix, matrix(3, found.turns), atol=1e-15)
        assert np.allclose(found.matrix @ found.matrix.T, np.eye(3), atol=1e-14)
        assert score_of(MIG, mean @ found.matrix.T, factors) == found.score
        assert found.gain == found.score_held_out - found.own_held_out
        assert found.own_fit != found.own_held_out
    assert audit.worst.gain < 0 < audit.best.gain
    assert audit.worst.score < audit.null.min()


def test_best_and_worst_bracket_the_null(rotated):
    audit = rotated[-1]
    assert audit.worst.score <= audit.null.min() <= audit.null.max() <= audit.best.score


def test_what_the_search_gains_by_chance_is_not_claimed():
    """Factors that the code knows nothing about: one half gains, the other does not."""
    fitted, gains, claimed = [], [], 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mean, factors = rng.normal(size=(100, 2)), rng.integers(4, size=(100, 2))
        audit = audit_rotations(SAP, mean, factors, rotations=9, rng=seed)
        fitted.append(audit.best.score_fit - audit.best.own_fit)
        gains.append(audit.best.gain)
        claimed += "A better rotation exists" in audit.sentences["BETTER"]
    error, error_fitted = (np.std(x, ddof=1) / np.sqrt(len(x)) for x in (gains, fitted))
    assert abs(np.mean(gains)) < 4 * error
    assert np.mean(fitted) > 4 * error_fitted
    assert claimed <= 5  # at 4 percent each, more has a probability of 2e-4


def test_the_error_of_the_gain_is_that_of_repetition(rotated):
    """Within a factor of 2: ten groups give the error to a quarter, repetitions to a tenth."""
    errors, gains = [], []
    for seed in range(25):
        mean, factors = ideal(n=300, k=2, rng=seed)
        mean = mean + 0.5 * np.random.default_rng(seed).normal(size=mean.shape)
        audit = quick(SAP, turned(mean, 0, 1, 30), factors, rotations=2)
        errors.append(audit.best.gain_se)
        gains.append(audit.best.gain)
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.std(gains, ddof=1) < 2


def test_turns_of_one_pair_are_joined_when_those_between_commute():
    assert joined(((0, 1, 30.0), (2, 3, 10.0)), (0, 1, 20.0)) == ((0, 1, -40.0), (2, 3, 10.0))
    assert len(joined(((0, 1, 30.0), (1, 2, 10.0)), (0, 1, 20.0))) == 3
    assert [wrapped(a) for a in (45, -45, 46, 135, 90, -44)] == [45, 45, -44, 45, 0, -44]


def test_without_a_search_none_is_reported():
    audit = quick(MIG, *ideal(), search=False)
    assert audit.best is None
    assert audit.worst is None
    assert audit.sentences["BETTER"] == "No better rotation was searched for."
    assert json.loads(audit.to_json())["best"] is None


# Seeds, processes, calls of the score.


def same(a, b):
    return a.to_json() == b.to_json()


def test_the_seed_decides_and_nothing_else(rotated):
    mean, factors, audit = rotated
    assert same(audit, quick(MIG, mean, factors))
    other = audit_rotations(MIG, mean, factors, rotations=19, rng=1, search=False)
    assert not np.array_equal(audit.null, other.null)
    assert (audit.seed, other.seed) == (0, 1)
    drawn = quick(MIG, mean, factors, rng=generator(0), search=False)
    assert drawn.seed is None
    assert np.array_equal(drawn.null, audit.null)


def test_processes_change_no_number(rotated):
    mean, factors, audit = rotated
    assert same(audit, quick(MIG, mean, factors, workers=2))


def test_a_score_that_cannot_be_pickled_runs_in_one_process():
    mean, factors = ideal(n=60, k=2)
    few = {"rotations": 3, "search": False}
    audit = quick(lambda z, v, rng: score_of(MIG, z, v), mean, factors, workers=2, **few)
    assert audit.notes == ("<lambda> cannot be pickled, so one process was used",)
    assert np.array_equal(audit.null, quick(MIG, mean, factors, **few).null)


class Deadly:
    """Ends the process in which it is unpickled."""

    def __reduce__(self):
        return os._exit, (1,)

    def __call__(self, codes, factors, rng):
        return codes[0, 0]


def test_processes_that_do_not_start_are_done_without():
    audit = quick(Deadly(), ideal(n=60, k=2)[0], rotations=3, search=False, workers=2)
    assert audit.metric == "Deadly"
    assert "could not be started" in audit.notes[0]


def test_every_call_has_the_same_seed():
    seeds = set()

    def score(codes, factors, rng):
        seeds.add(rng)
        return np.random.default_rng(rng).normal()

    audit = quick(score, ideal()[0])
    assert seeds == {audit.score_seed}
    assert audit.null_sd == 0


def test_codes_and_factors_keep_their_rows_in_both_halves():
    mean, factors = ideal(n=80, k=2)
    sizes = []

    def score(codes, factors, rng):
        length = np.sum((factors - centre) ** 2, axis=1)
        assert np.allclose(np.sum(codes**2, axis=1), length / scale, rtol=1e-12)
        sizes.append(len(codes))
        return np.mean(codes[:, 0] ** 3)

    centre, scale = factors.mean(), factors.var()
    quick(score, mean, factors)
    assert {*sizes} == {80, 40, 36}


def test_progress_sees_every_rotation():
    seen = {}

    def progress(steps, description, total):
        for step in steps:
            seen[description] = seen.get(description, 0) + 1
            yield step
        assert seen[description] == total

    quick(MIG, *ideal(n=60, k=2), progress=progress)
    assert seen[f"{MIG}: random rotations"] == 19
    assert seen[f"{MIG}: best orientation, large turns, round 1"] == 5


def test_parameters_of_the_score_are_kept():
    audit = quick(partial(mig, bins=7), *ideal(n=60, k=2), rotations=2, search=False)
    assert audit.metric == "mig"
    assert audit.parameters == {"protocol": "default", "bins": 7}


# Which latents, and variances.


def test_unused_latents_are_dropped_by_definition_3():
    mean, factors = ideal(k=2)
    rng = np.random.default_rng(1)
    mean = np.insert(mean, [0, 1], 0.5 * rng.normal(size=(len(mean), 2)), axis=1)
    var = np.broadcast_to([0.9, 0.01, 0.9, 0.01], mean.shape)
    audit = quick(MIG, mean, factors, var=var)
    assert audit.rotated == (1, 3)
    assert audit.score == score_of(MIG, mean[:, [1, 3]], factors)
    assert audit.score_all_latents == score_of(MIG, mean, factors) != audit.score
    assert "all 4 latents" in repr(audit)
    assert "The last column is the score before the others were dropped." in repr(audit)
    assert audit.best.matrix.shape == (2, 2)
    assert {turn[:2] for turn in audit.worst.turns} == {(1, 3)}
    assert quick(MIG, mean, factors, var=var, threshold=0.05, search=False).rotated == (
        0,
        1,
        2,
        3,
    )


def test_latents_that_do_not_move_are_dropped_without_variances():
    mean, factors = ideal(k=2)
    mean = np.insert(mean, 1, 0.05 * np.sin(np.arange(len(mean))), axis=1)
    assert quick(MIG, mean, factors, search=False).rotated == (0, 2)


def test_all_latents_are_kept_when_asked_for():
    mean, factors = ideal(k=2)
    mean = np.insert(mean, 1, 0.0, axis=1)
    audit = quick(MIG, mean, factors, latents="all", search=False)
    assert audit.rotated == (0, 1, 2)
    assert audit.d == 3
    assert audit.score_all_latents == audit.score
    assert "all 3 latents" not in repr(audit)


def test_variances_are_rotated_for_a_score_that_takes_them():
    d = 3
    rng = np.random.default_rng(0)
    mean = np.vstack([np.eye(d), rng.normal(size=(57, d))])
    variances = rng.uniform(0.01, 0.1, size=(60, d))
    turns = []

    def score(mean, var, factors, rng):
        q = mean[:d].T
        expected = [np.diag(q @ np.diag(v) @ q.T) for v in variances]
        assert np.allclose(var, expected, rtol=1e-12)
        turns.append(q)
        return float(var[0, 0])

    audit = quick(score, mean, var=variances, search=False)
    assert audit.posteriors
    assert len(turns) == 20
    assert np.array_equal(turns[0], np.eye(d))
    with pytest.raises(ValueError, match="score takes posteriors, so var must be given"):
        quick(score, mean)


def test_one_latent_has_nothing_to_rotate():
    mean, factors = ideal(k=1)
    audit = quick(MIG, mean, factors)
    assert audit.p_value == 1
    assert audit.best.turns == ()
    assert "only one latent is rotated, so every rotation gives the same axes" in audit.notes


# Bad input.


GOOD = ideal(n=60, k=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "migg"}, r"no metric is called 'migg'; there is mig, "),
        ({"score": 3}, "score must be the name of a metric or callable; got 3"),
        ({"factors": None}, "factors are missing: mig compares the code with them"),
        (
            {"factors": GOOD[1][:-1]},
            r"factors must have the shape \(60, K\); the shape is \(59, 2\)",
        ),
        ({"mean": GOOD[0][:, 0]}, r"mean must have the shape .*\(60,\)"),
        ({"mean": GOOD[0][:1], "factors": GOOD[1][:1]}, "at least 2 rows; got 1"),
        ({"mean": np.where(GOOD[0] > 1, np.nan, GOOD[0])}, r"mean must be finite; mean\["),
        ({"var": np.ones((59, 2))}, "mean and var must have the same shape"),
        ({"var": -np.ones((60, 2))}, r"var must be positive.*var\[0, 0\] = -1"),
        ({"latents": "some"}, r"latents must be .*; got 'some'"),
        ({"rotations": 1}, "rotations must be at least 2; got 1"),
        ({"workers": 0}, "workers must be at least 1; got 0"),
        ({"threshold": 0.0, "var": np.ones((60, 2))}, "threshold must be positive"),
        (
            {"var": np.full((60, 2), 50.0)},
            "no latent is used: of 2 latents none has information above 0.5 nats",
        ),
        (
            {"mean": GOOD[0] / 100},
            r"no latent is active: of 2 latents none has Var\(mean\) of at least 0.01",
        ),
        ({"score": lambda *_, rng: np.nan}, "must be finite; on the unrotated code"),
        ({"score": lambda *_, rng: "much"}, "must return a number; got 'much'"),
        ({"score": lambda *_, rng: np.ones(1)}, r"must return a number; got array\(\[1"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"score": "mig", "mean": GOOD[0], "factors": GOOD[1]} | change
    with pytest.raises(ValueError, match=message):
        quick(**given)


def test_a_search_needs_rows():
    mean, factors = ideal(n=39, k=2)
    with pytest.raises(ValueError, match="a search needs at least 40 rows of mean; got 39"):
        quick(MIG, mean, factors)
    quick(MIG, mean, factors, search=False)
    quick(MIG, *ideal(n=40, k=2))


def test_two_rows_are_enough_without_a_search():
    mean, factors = ideal(n=2, k=2)
    audit = quick(lambda codes, _, rng: float(codes[0, 0]), mean, factors, search=False)
    assert audit.n == 2


# What it prints, stores and draws.


def test_the_result_says_all_of_it(rotated):
    audit = rotated[-1]
    text = repr(audit)
    assert f"{MIG} RANDOM" in text
    assert f"{MIG} BETTER" in text
    assert "3 of 3 latents (0, 1, 2), the active ones, rotated, n = 600" in " ".join(text.split())
    content = json.loads(audit.to_json())
    assert content["schema"] == "dindic.audit/1"
    assert len(content["null"]) == 19
    assert content["best"]["turns"][0][:2] == [0, 2]
    assert same(pickle.loads(pickle.dumps(audit)), audit)
    frame = audit.to_frame()
    assert frame.loc[MIG, "p_value"] == audit.p_value
    assert frame.loc[MIG, "best_gain"] == audit.best.gain
    both = Audits("name", "source", {"mig": audit}, ())
    assert repr(both).startswith("name\nsource\n")
    assert json.loads(both.to_json())["audits"]["mig"] == content


# Real encodings: the position is turned by 45 degrees over latents 4 and 8.


def check_dsprites(path, n):
    with np.load(path) as stored:
        mean, var, factors = (stored[name] for name in ("mean", "var", "factors"))
    audit = audit_rotations(MIG, mean, factors, var=var, rotations=19, rng=0)
    assert audit.n == n
    assert {4, 8} <= {*audit.rotated}
    i, j, degrees = max(audit.best.turns, key=lambda turn: abs(turn[2]))
    assert (i, j) == (4, 8)
    assert abs(degrees) == pytest.approx(45, abs=3)
    assert all(abs(turn[2]) < 10 for turn in audit.best.turns if turn[:2] != (4, 8))
    assert audit.best.gain > 0.15
    assert audit.best.gain_se < 0.02
    assert "A better rotation exists: turn latents 4 and 8 by" in audit.sentences["BETTER"]


def test_the_position_of_the_example_is_turned_by_45_degrees():
    check_dsprites(EXAMPLE, 5000)


@pytest.mark.skipif(not FULL.is_file(), reason="set DINDIC_DATA: the full file is NOT tested")
def test_the_position_of_the_full_file_is_turned_by_45_degrees():
    check_dsprites(FULL, 20000)


def test_protocols_are_named_and_printed():
    factors = np.random.default_rng(0).integers(4, size=(60, 2))
    audits = [
        audit_rotations(name, factors, factors, rotations=3, search=False, rng=0)
        for name in ("higgins", "higgins@ubisoft")
    ]
    assert [audit.parameters["protocol"] for audit in audits] == ["default", "ubisoft"]
    assert audits[1].parameters["pairs"] == 200
    assert "protocol ubisoft, pairs 200" in " ".join(repr(audits[1]).split())
    assert audits[0].to_dict()["parameters"]["C"] == find("higgins")[0].parameters()["C"]
    with pytest.raises(ValueError, match="no metric is called 'higgins@x'"):
        audit_rotations("higgins@x", factors, factors, rng=0)


@pytest.mark.parametrize(
    "name", [f"{name}@{p}" for name, metric in METRICS.items() for p in metric.protocols]
)
def test_every_protocol_is_taken(name):
    if name == "dci@lightgbm":
        pytest.importorskip("lightgbm", reason="LightGBM is not installed: NOT audited with it")
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(60, 2))
    audit = audit_rotations(
        name, factors + 0.1 * rng.normal(size=(60, 2)), factors, rotations=2, search=False, rng=0
    )
    assert audit.metric == name
    assert np.all(np.isfinite(audit.null))
    assert f"protocol {name.split('@')[1]}" in " ".join(repr(audit).split())


def test_a_named_protocol_is_the_one_that_runs():
    rng = np.random.default_rng(0)
    factors = rng.integers(4, size=(200, 3))
    codes = 0.2 * factors + rng.normal(size=(200, 3))
    ubisoft = score_of("higgins@ubisoft", codes, factors, rng=0)
    assert ubisoft == higgins(codes, factors, rng=0, protocol="ubisoft")
    assert ubisoft != score_of("higgins", codes, factors, rng=0)
    audit = quick("higgins@ubisoft", codes, factors, rotations=2, search=False)
    assert audit.score == score_of("higgins@ubisoft", codes, factors, rng=audit.score_seed)


@pytest.mark.parametrize("shift", [1.5, 2.1, 2.25, 2.4, 3.0])
def test_a_gain_is_certain_beyond_what_ten_groups_leave_open(rotated, shift):
    """Student's t with 9 degrees of freedom: 2 standard errors become 2.31."""
    best = rotated[-1].best
    for sign in (1, -1):
        found = replace(best, gain=sign * shift * 0.01, gain_se=0.01)
        assert found.certain == (shift > 2 * 2.262157 / 1.959964)
    assert not replace(best, turns=(), gain=1.0, gain_se=0.0).certain
