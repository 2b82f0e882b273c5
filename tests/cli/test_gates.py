"""The conditions of --fail-if."""

import re
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import METRICS, flat


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("used < 3", 3),
        ("used < 2", 0),
        ("used <= 2", 3),
        ("used <= 1", 0),
        ("used == 2", 3),
        ("used == 3", 0),
        ("used != 3", 3),
        ("used != 2", 0),
        ("used >= 2", 3),
        ("used >= 3", 0),
        ("used > 1", 3),
        ("used > 2", 0),
        ("used>1", 3),
        (" used  >1e0 ", 3),
        ("used > -inf", 3),
        ("standard_errors.mutual_information > 0", 3),
        ("upper_bounds.full-mean < -1", 0),
        ("q_star.converged == 1", 3),
    ],
)
def test_gates(dindic, good, gate, code):
    result = dindic("score", good, "--quiet", "--fail-if", gate, code=code)
    assert result.stdout == ""
    assert bool(result.stderr) == (code == 3)


def test_a_failed_gate_says_what_failed_and_still_prints(dindic, good):
    words = ["--fail-if", "used < 3", "--fail-if", "n > 1e6", "--fail-if", "unused >= 1"]
    result = dindic("score", good, *words, "--csv", "a.csv", code=3)
    assert "gate failed: used < 3 (used = 2)" in result.stderr
    assert "gate failed: unused >= 1 (unused = 1)" in result.stderr
    assert "n >" not in result.stderr
    assert "Error" not in result.stderr
    assert "USED" in result.stdout
    assert Path("a.csv").is_file()


@pytest.mark.parametrize(
    ("name", "near"), [("usd", "used"), ("mutual_info", "mutual_information")]
)
def test_an_unknown_gate_gets_a_close_name(say, good, name, near):
    message = say("score", good, "--fail-if", f"{name} > 4")
    assert f"no number is called '{name}'; did you mean " in message
    assert re.search(rf" {near}( |\?)", message)


def test_an_unknown_gate_without_a_close_name_gets_none(say, good):
    message = say("score", good, "--fail-if", "xxxxxxxxxxxx > 4")
    assert message.endswith("no number is called 'xxxxxxxxxxxx'; --json - prints the names")


def test_gates_on_means_only(say, npz, pair):
    path = npz(mean=pair[0])
    message = say("score", path, "--quiet", "--fail-if", "usde > 3")
    assert "no number is called 'usde'; did you mean used" in message
    assert "there is d" not in message
    message = say("score", path, "--quiet", "--fail-if", "used > 3")
    assert "used needs the posterior variances; without them there is active_units" in message


def test_a_gate_on_a_section_without_a_value_gives_the_reason(say, npz, pair):
    factors = (pair[0][:, :2] > 0).astype(int)
    path = npz(mean=0 * pair[0], var=np.ones_like(pair[1]), factors=factors)
    words = ("--metrics", "mig", "--permutations", "2", "--quiet", "--fail-if")
    message = say("score", path, *words, "metrics.metrics.mig@default.value < 0.1")
    assert "metrics.metrics.mig@default.value has no value: no latent is used" in message


@pytest.mark.parametrize(
    "gate",
    ["", "used", "used >", "> 3", "used >> 3", "used = 3", "used > x", "used > nan", "1 > 0"],
)
def test_malformed_gates(say, good, gate):
    message = say("score", good, "--fail-if", gate)
    assert "is not NAME OP NUMBER" in message
    assert repr(gate) in message


def test_a_gate_on_a_missing_value(dindic, npz, pair):
    path = npz(mean=pair[0][:1], var=pair[1][:1])
    gate = "standard_errors.mutual_information > 0"
    message = dindic("score", path, "--quiet", "--fail-if", gate, code=2).stderr
    assert "standard_errors.mutual_information has no value here" in message


def test_gates_look_at_every_file(dindic, npz, good, pair):
    other = npz("other.npz", mean=pair[0][:, :2], var=pair[1][:, :2])
    dindic("score", other, good, "--quiet", "--fail-if", "d == 4", code=3)
    dindic("score", good, other, "--quiet", "--fail-if", "d == 4", code=3)
    dindic("score", good, other, "--quiet", "--fail-if", "d == 5")


def test_an_unknown_gate_is_refused_before_anything_is_written(dindic, good):
    dindic("score", good, "--json", "a.json", "--fail-if", "bogus > 1", code=2)
    assert not Path("a.json").exists()


def test_a_gate_on_what_has_no_number(dindic, good):
    for name, why in (
        ("used_range", "is a list"),
        ("n_clusters", "has no value here"),
        ("name", "is text"),
        ("marginals", "is a section"),
    ):
        message = dindic("score", good, "--quiet", "--fail-if", f"{name} > 1", code=2).stderr
        assert f"{name} {why}" in message


def test_gates_reach_the_aggregated_posterior(dindic, good):
    gate = "marginals.total_information > 0.1"
    assert "gate failed" in dindic("score", good, "--fail-if", gate, code=3).stderr
    dindic("score", good, "--joint", "--fail-if", "joint.saturation > 1.1")


def test_gates_on_what_was_not_computed_say_how_to_get_it(dindic, good):
    result = dindic("score", good, "--no-joint", "--fail-if", "joint.saturation > 2", code=2)
    assert "joint.saturation is computed only with --joint" in flat(result.stderr)
    for name, flag in (
        ("certificate.low", "--certify"),
        ("channel.worst", "--metrics"),
    ):
        result = dindic("score", good, "--fail-if", f"{name} > 2", code=2)
        assert f"{name} is computed only with {flag}" in flat(result.stderr)


def test_gates_reach_metrics_by_name_and_protocol(dindic, known):
    words = ("score", known, *METRICS, "--quiet", "--fail-if")
    result = dindic(*words, "metrics.metrics.mig@default.value < 2", code=3)
    assert "gate failed: metrics.metrics.mig@default.value < 2 (" in result.stderr
    dindic(*words, "metrics.metrics.mig@default.value < 0.1")
    dindic(*words, "metrics.metrics.sap@ubisoft.p_value > 1")
    message = dindic(*words, "metrics.metrics.mig@ubisoft.value < 1", code=2).stderr
    assert "no number is called 'metrics.metrics.mig@ubisoft.value'" in message
    words = ("score", known, "--quiet", "--fail-if", "metrics.metrics.mig@default.value < 0.1")
    assert "is computed only with --metrics" in flat(dindic(*words, code=2).stderr)
