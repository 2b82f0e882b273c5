"""dindic score: the report, through real files."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import EXAMPLE, flat

from disentangle_indicators import _cost


def test_the_example_prints_its_known_numbers(dindic):
    text = flat(dindic("score", EXAMPLE).stdout)
    assert "mean from 'mu', variance = exp('logvar') (schema: names)" in text
    assert "10000 rows x 10 latents" in text
    assert "USED All 10 latents are used: above 0.5 nats of information" in text
    assert "DO Train a wider model: every latent is used" in text
    assert "1 kl_posterior_prior 19.327 ± 0.038 " in text
    assert "2 mutual_information 19.319 ± 0.038 " in text
    assert "4 kl_aggregate_prior ≥ 0.0081 ± " in text
    assert "5 kl_q_star_prior 0.0081 ± " in text
    assert "labels (categorical, 10 values)" in text


@pytest.mark.parametrize("threshold", ["1e-9", "0.5", "1.42", "1.43"])
def test_the_example_uses_all_latents_at_any_threshold_below_1_43(numbers, threshold):
    assert numbers(EXAMPLE, "--threshold", threshold)["used"] == 10


def test_the_example_uses_fewer_latents_above_1_44(numbers):
    assert numbers(EXAMPLE, "--threshold", "1.44")["used"] == 9


def test_the_report_opens_with_the_verdict(dindic, good):
    result = dindic("score", good)
    lines = result.stdout.splitlines()
    assert lines[0] == "good.npz"
    assert "variance = 'var'" in lines[1]
    starts = [line.split(" ")[0] for line in lines if line[:1].isupper()]
    assert starts[:3] == ["USED", "PRIOR", "TRUST"]
    assert flat(result.stdout).index("TRUST") < flat(result.stdout).index("latent I(x; z_h)")
    assert result.stderr == ""


def test_latents_are_sorted_by_information_and_have_states(dindic, npz, pair):
    path = npz(mean=pair[0][:, ::-1], var=pair[1][:, ::-1])
    rows = re.findall(
        r"^ (\d+) +(-?[\d.]+) ± .* (\S+) *$", dindic("score", path).stdout, re.MULTILINE
    )
    assert [(h, state) for h, _, state in rows] == [
        ("3", "used"),
        ("2", "used"),
        ("1", "weak"),
        ("0", "unused"),
    ]
    information = [float(value) for _, value, _ in rows]
    assert information == sorted(information, reverse=True)


def test_tables_name_their_unit(dindic, good):
    text = flat(dindic("score", good).stdout)
    assert "latent I(x; z_h) [nats] Def 3 [nats] S Def 1 [nats] Var(mean) state" in text
    assert "Def name value [nats] how to read it" in text


def test_many_unused_latents_fold_into_one_line(dindic, npz):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(200, 128)) * np.where(np.arange(128) < 3, 0.95, 1e-3)
    var = np.where(np.arange(128) < 3, 0.1, 1.0) * np.ones_like(mean)
    text = dindic("score", npz(mean=mean, var=var)).stdout
    assert "125 more" in text
    assert len(re.findall(r" unused$", text, re.MULTILINE)) == 1
    assert len(re.findall(r" used$", text, re.MULTILINE)) == 3


def test_threshold(dindic, numbers, good):
    assert [numbers(good, "--threshold", t)["used"] for t in ("0.1", "0.5", "0.9", "9")] == [
        3,
        2,
        1,
        0,
    ]
    assert "above 0.25 nats" in flat(dindic("score", good, "--threshold", "0.25").stdout)


def test_means_only(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0]))
    text = flat(result.stdout)
    assert "note: the file holds no scale: means only" in result.stderr
    assert "USED 3 of 4 latents are active units: Var(mean) is at least 0.01" in text
    assert "PRIOR The distance of q(z) from the prior needs the posterior variances" in text
    assert "Definitions 1-7 need the posterior variances" in text
    assert "mean, logvar = encoder(x); np.savez(" in text
    assert "get_latent_representation(return_dist=True)" in text
    assert re.findall(r"(\d) +[\d.]+ +-?[\d.]+ +(active|inactive)", result.stdout) == [
        ("0", "active"),
        ("1", "active"),
        ("2", "active"),
        ("3", "inactive"),
    ]


def test_means_only_as_json_and_plot(dindic, numbers, npz, pair):
    path = npz(mean=pair[0])
    found = numbers(path)
    assert "mutual_information" not in found
    np.testing.assert_allclose(found["mean_variance"], pair[0].var(axis=0, ddof=1))
    dindic("score", path, "--quiet", "--plot", "a.png")
    assert Path("a.png").stat().st_size > 1000


def test_one_sample(dindic, numbers, npz, pair):
    path = npz(mean=pair[0][:1], var=pair[1][:1])
    text = flat(dindic("score", path).stdout)
    assert "± inf" in text
    assert "nan" not in text
    assert "One row cannot show which latents are used" in text
    found = numbers(path)
    assert found["n"] == 1
    assert found["kl_posterior_prior"] == pytest.approx(
        0.5 * float(np.sum(pair[0][0] ** 2 + pair[1][0] - np.log(pair[1][0]) - 1))
    )


def test_one_latent(dindic, numbers, npz, pair):
    path = npz(mean=pair[0][:, :1], var=pair[1][:, :1])
    text = flat(dindic("score", path).stdout)
    assert "USED The latent is used: above 0.5 nats" in text
    assert "wider" not in text
    found = numbers(path)
    assert found["mutual_information"] == pytest.approx(found["mutual_information_per_latent"][0])
    assert found["gaussian_total_correlation"] == pytest.approx(0, abs=1e-12)


def test_constant_latents(dindic, npz, pair):
    pair[0][:, 2], pair[1][:, 2] = 0.0, 1.0
    result = dindic("score", npz(mean=pair[0], var=pair[1]))
    assert re.search(
        r"^ 2 +0\.000 ± 0\.000 +-?0\.000 ± 0\.000 +1\.000 +-?0\.000 +0\.0000 +unused *$",
        result.stdout,
        re.MULTILINE,
    )
    assert "nan" not in result.stdout


def test_constant_scale_warns(dindic, npz, pair):
    result = dindic("score", npz(mean=pair[0], var=np.full((80, 4), 0.25)))
    assert "WARNING: every entry of 'var' is 0.25" in flat(result.stderr)


def test_means_that_never_move_carry_nothing_by_the_tightest_bound(dindic, numbers, npz):
    path = npz(mean=np.ones((80, 4)), var=np.full((80, 4), 0.5))
    found = numbers(path)
    assert found["mutual_information"] == pytest.approx(2 * np.log(3))
    assert found["upper_bounds"]["full-mean"] == pytest.approx(0, abs=1e-12)
    assert found["active_units"] == 0
    assert "nan" not in dindic("score", path).stdout


def test_means_far_from_zero(dindic, numbers, npz, pair):
    """The uncentred families drown in the offset; the centred ones, and the table, do not."""
    path = npz(mean=pair[0] + 1e8, var=pair[1])
    assert "USED" in dindic("score", path).stdout
    found = numbers(path)
    near = numbers(npz("near.npz", mean=pair[0], var=pair[1]))
    assert found["gaussian_total_correlation"] == pytest.approx(
        near["gaussian_total_correlation"], abs=1e-6
    )
    bounds = found["upper_bounds"]
    assert bounds["full-mean"] == pytest.approx(near["upper_bounds"]["full-mean"], abs=1e-6)


def test_joint_prints_ranges_and_its_seed(dindic, numbers, good):
    text = flat(dindic("score", good, "--joint", "--certify", "--points", "300").stdout)
    assert "Monte Carlo with 2 x 300 points, seed 0" in text
    assert "sums over all pairs of the 80 rows, no sampling" in text
    found = numbers(good, "--joint", "--points", "300")
    same = numbers(good, "--joint", "--points", "300", "--seed", "0")
    other = numbers(good, "--joint", "--points", "300", "--seed", "1")
    assert found["joint"] == same["joint"]
    ends = [of["joint"]["ranges"]["mutual_information"] for of in (found, other)]
    assert ends[0] != ends[1]
    assert found["marginals"] == other["marginals"]
    assert found["certificate"] is None


def test_marginals_can_be_left_out(dindic, numbers, good):
    assert numbers(good, "--no-marginals")["marginals"] is None
    assert "I(x; z_h) [nats]" not in dindic("score", good, "--no-marginals").stdout


@pytest.mark.parametrize("words", [("--points", "99"), ("--seed", "-1")])
def test_points_and_seeds_are_checked(dindic, good, words):
    dindic("score", good, "--joint", *words, code=2)


def test_points_and_seeds_do_not_go_without_the_joint(dindic, numbers, good):
    assert numbers(good, "--points", "200")["joint"]["points"] == 200
    assert numbers(good, "--seed", "1")["joint"]["seed"] == 1
    result = dindic("score", good, "--no-joint", "--points", "200", code=2)
    assert "--points does not go with --no-joint" in result.stderr
    result = dindic("score", good, "--no-joint", "--seed", "1", code=2)
    assert "--seed goes with the joint or with --metrics" in result.stderr


def test_values_that_may_be_missing_ones_are_noted_without_metrics(dindic, numbers, good):
    np.save("codes.npy", np.arange(80) % 5 - 1)
    note = "codes.npy is -1 in 16 of 80 rows; if that stands for a missing value, give nan"
    result = dindic("score", good, "--factors", "codes.npy", "--factor-names", "codes.npy")
    assert flat(result.stderr) == f"note: {note}"
    report = numbers(good, "--factors", "codes.npy", "--factor-names", "codes.npy")
    assert report["notes"] == [note]


def test_a_covariance_of_many_latents_is_left_out_or_announced(dindic, numbers, good, monkeypatch):
    monkeypatch.setattr("disentangle_indicators._sections.WIDE", 3)
    reason = "of 4 latents it takes about 0 s and 0.1 GB; --covariance computes it"
    assert numbers(good)["reasons"]["covariance"] == reason
    result = dindic("score", good, "--covariance")
    note = "note: estimated for 80 rows and 4 latents: the covariance about 0 s and 0.1 GB"
    assert flat(result.stderr) == note
    assert numbers(good, "--no-covariance")["reasons"]["covariance"] == "it was not asked for"


def test_a_joint_that_takes_long_is_left_out_or_announced(dindic, numbers, good, monkeypatch):
    monkeypatch.setattr(_cost, "LIMIT", 0.05)
    result = dindic("score", good)
    cost = "about 0 s and 0.3 GB"
    assert f"Joint left out: it takes {cost}; --joint computes it." in flat(result.stdout)
    assert result.stderr == ""
    assert numbers(good)["reasons"] == {"joint": f"it takes {cost}; --joint computes it"}
    result = dindic("score", good, "--joint")
    note = f"note: estimated for 80 rows and 4 latents: the joint {cost}"
    assert flat(result.stderr) == note
    assert dindic("score", good, "--joint", "--quiet").stderr == ""
    assert "left out" not in flat(dindic("score", good, "--no-joint").stdout)


def test_joints_of_several_files_are_left_out_together(dindic, numbers, good, monkeypatch):
    cost = _cost.of_joint(80, 4, 4096).seconds
    monkeypatch.setattr(_cost, "LIMIT", 1.9 * cost)
    np.save("groups.npy", np.arange(80) % 2)
    assert numbers(good)["joint"] is not None
    text = flat(dindic("score", good, good, "--no-paired").stdout)
    assert "joints left out: all 2 take about 0 s and 0.3 GB; --joint computes them" in text
    text = flat(dindic("score", good, "--by", "groups.npy", "--marginals").stdout)
    assert "joints left out" not in text  # groups are smaller
    monkeypatch.setattr(_cost, "LIMIT", 0.5 * cost)
    text = flat(dindic("score", good, "--by", "groups.npy", "--marginals").stdout)
    assert "all 2 take about 0 s and 0.3 GB; --joint computes them" in text


@pytest.mark.parametrize("flag", ["--joint", "--certify", "--marginals"])
def test_means_alone_cost_only_the_section(dindic, numbers, npz, pair, flag):
    path = npz(mean=pair[0])
    section = {"--certify": "certificate"}.get(flag, flag[2:])
    text = flat(dindic("score", path, flag).stdout)
    assert f"{section.capitalize()} left out: " in text
    found = numbers(path, flag)
    assert found[section] is None
    assert "the posterior variances; there are only means" in found["reasons"][section]
    assert found["active_units"] == 3


def test_threads_change_nothing(numbers, good):
    one, two = numbers(good), numbers(good, "--threads", "2")
    assert one | {"provenance": None} == two | {"provenance": None}
