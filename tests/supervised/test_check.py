"""check_claim: which protocols reach a number that was claimed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators.supervised import METRICS, Metric, Outcome, check_claim, measure


def code(n=200, seed=0):
    """Two factors in latents 0 and 1, beside a latent that is not used; means and variances."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(4, size=(n, 2))
    mean = np.column_stack([factors - 1.5, np.zeros(n)]) + 0.01 * rng.normal(size=(n, 3))
    return mean, factors, np.broadcast_to([0.2, 0.2, 1.0], mean.shape)


def fake(*, slow=(), higher_is_better=True, refuse=()):
    """Protocols add 0, 1 and 2 to the mean of the first latent."""

    def compute(z, factors, p, rng):
        if p["add"] in refuse:
            raise Undefined(f"there is no value when {p['add']} is added")
        return Outcome(float(np.mean(z[:, 0])) + p["add"])

    return Metric(
        "fake",
        "Fake",
        compute,
        {name: {"add": add} for add, name in enumerate(("default", "one", "two"))},
        "nothing",
        dict.fromkeys(("default", "one", "two"), "nowhere"),
        higher_is_better=higher_is_better,
        slow=slow,
        ranges=dict.fromkeys(("default", "one", "two"), (-9.0, 9.0)),
    )


def ways(check):
    return [attempt[:3] for attempt in check.attempts]


def test_every_protocol_of_means_and_samples_of_used_and_all_latents():
    mean, factors, var = code()
    check = check_claim(METRICS["mig"], mean, factors, var=var, claimed=0.9)
    assert ways(check) == [
        (protocol, codes, latents)
        for protocol in METRICS["mig"].protocols
        for codes in ("mean", "sample")
        for latents in ("used", "all")
    ]
    values = {attempt[:3]: attempt.value for attempt in check.attempts}
    for protocol in METRICS["mig"].protocols:
        for latents, columns in (("used", [0, 1]), ("all", [0, 1, 2])):
            expected = measure(METRICS["mig"], mean[:, columns], factors, protocol=protocol).value
            assert values[protocol, "mean", latents] == expected
    assert values["default", "sample", "used"] < 0.8 < values["default", "mean", "used"]
    assert check.of == len(check.attempts) == 16
    assert check.reached == sum(attempt.reached is True for attempt in check.attempts)
    assert 0 < check.reached < 16
    assert f"{check.reached} of 16 ways to compute it reach 0.9" in check.sentence


def test_without_variances_there_are_no_samples():
    mean, factors, _ = code()
    check = check_claim(fake(), mean, factors)
    assert {codes for _, codes, _ in ways(check)} == {"mean"}
    assert len(check.attempts) == 6


def test_slow_protocols_are_left_out_unless_asked_for():
    mean, factors, _ = code(40)
    names = {protocol for protocol, *_ in ways(check_claim(fake(slow=("one",)), mean, factors))}
    assert names == {"default", "two"}
    every = check_claim(fake(slow=("one",)), mean, factors, slow=True)
    assert {protocol for protocol, *_ in ways(every)} == {"default", "one", "two"}


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.parametrize("shift", [-2.5, -1.5, 0.0, 1.5, 2.5])
def test_a_claim_is_reached_within_two_standard_errors(better, shift):
    rng = np.random.default_rng(0)
    mean, factors = rng.normal(size=(100, 2)), rng.integers(3, size=(100, 2))
    metric = fake(higher_is_better=better)
    first = check_claim(metric, mean, factors).attempts[0]
    assert first.standard_error > 0.01
    assert first.reached is None
    claimed = first.value + shift * first.standard_error
    again = check_claim(metric, mean, factors, claimed=claimed).attempts[0]
    assert again.value == first.value
    assert again.reached == (shift <= 2 if better else shift >= -2)


def test_without_halves_the_claim_is_exact():
    mean, factors, _ = code()
    value = check_claim(fake(), mean, factors, halves=0).attempts[0].value
    for claimed, reached in ((value, True), (value + 1e-9, False)):
        attempt = check_claim(fake(), mean, factors, halves=0, claimed=claimed).attempts[0]
        assert attempt.standard_error is None
        assert attempt.reached is reached


@pytest.mark.parametrize(
    ("claimed", "words"),
    [
        (None, "by protocol, codes and latents."),
        (-5, "all ways to compute it reach -5."),
        (1.5, "2 of 6 ways to compute it reach 1.5."),
        (8, "none of 6 ways to compute it reaches 8."),
    ],
)
def test_the_sentence(claimed, words):
    mean, factors, _ = code()
    check = check_claim(fake(), mean, factors, claimed=claimed)
    assert check.sentence.startswith("Fake is between ")
    assert check.sentence.endswith(words)
    assert check.sentence in " ".join(repr(check).split())
    assert check.claimed == claimed


def test_what_has_no_value_says_why():
    mean, factors, _ = code()
    check = check_claim(fake(refuse=(1,)), mean, factors, claimed=-5)
    assert (check.reached, check.of) == (4, 4)
    for attempt in check.attempts:
        none = attempt.protocol == "one"
        assert (attempt.value is None) == none
        assert (attempt.reached is None) == none
        assert attempt.reason == ("there is no value when 1 is added" if none else "")
    nothing = check_claim(fake(refuse=(0, 1, 2)), mean, factors, claimed=-5)
    assert nothing.sentence == "Fake has no value here under any protocol."
    assert (nothing.reached, nothing.of) == (0, 0)


def test_no_used_latent_is_a_reason_and_all_latents_still_come():
    mean, factors, var = code()
    check = check_claim(fake(), mean, factors, var=var, threshold=50)
    for attempt in check.attempts:
        assert (attempt.value is None) == (attempt.latents == "used")
        assert ("no latent is used" in attempt.reason) == (attempt.latents == "used")


def test_the_seed_decides():
    mean, factors, var = code()
    first = check_claim(METRICS["irs"], mean, factors, var=var, rng=3)
    assert first.to_json() == check_claim(METRICS["irs"], mean, factors, var=var, rng=3).to_json()
    assert first.to_json() != check_claim(METRICS["irs"], mean, factors, var=var, rng=4).to_json()


def test_json_and_frame_hold_every_attempt():
    mean, factors, var = code()
    check = check_claim(METRICS["mig"], mean, factors, var=var, claimed=0.3)
    content = json.loads(check.to_json(), parse_constant=pytest.fail)
    assert content["schema"] == "dindic.check/1"
    assert content["metric"] == "mig"
    assert [a["value"] for a in content["attempts"]] == [a.value for a in check.attempts]
    assert set(content["attempts"][0]) == set(check.attempts[0]._fields)
    frame = check.to_frame()
    assert list(frame.index) == [a.protocol for a in check.attempts]
    assert list(frame.value) == [a.value for a in check.attempts]
    text = repr(check)
    assert all(f"mig@{protocol}" in text for protocol in METRICS["mig"].protocols)
    assert max(map(len, text.splitlines())) <= 100


def test_progress_sees_every_way():
    seen = []

    def progress(steps, description, total):
        seen.append((description, total))
        yield from steps

    mean, factors, _ = code(40)
    assert len(check_claim(fake(), mean, factors, progress=progress).attempts) == 6
    assert seen == [("protocols", 6)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": np.ones((40, 2))}, "factors must vary; each of the 2 columns"),
        ({"factors": np.ones((3, 2))}, r"factors must have 40 rows; the shape is \(3, 2\)"),
        ({"kinds": {"size": "ordinal"}}, "no factor is called 'size'"),
    ],
)
def test_bad_input_is_refused(change, message):
    mean, factors, _ = code(40)
    with pytest.raises(ValueError, match=message):
        check_claim(fake(), mean, **({"factors": factors} | change))


def test_a_mistake_in_a_metric_is_no_reason():
    mean, factors, _ = code(40)

    def compute(z, factors, p, rng):
        raise ValueError("operands could not be broadcast together with shapes (3,) (4,)")

    with pytest.raises(ValueError, match="operands could not be broadcast"):
        check_claim(replace(fake(), compute=compute), mean, factors)
    with pytest.raises(ValueError, match="mean must be finite"):
        check_claim(fake(), np.full((40, 2), np.nan), factors)


def test_halves_are_of_clusters():
    mean, factors, _ = code(40)
    rows = np.repeat(np.arange(40), 6)
    check = check_claim(fake(), mean[rows], factors[rows], clusters=rows)
    single = check_claim(fake(), mean[rows], factors[rows])
    assert check.attempts[0].value == single.attempts[0].value
    assert check.attempts[0].standard_error > 1.3 * single.attempts[0].standard_error
    assert check.notes == ("standard errors are of halves of the clusters",)
    assert single.notes == ("rows are taken as independent",)


def test_few_clusters_reach_further():
    """5 clusters have Student's t with 4 degrees of freedom."""
    mean, factors, _ = code(40)
    clusters = np.arange(40) % 5
    first = check_claim(fake(), mean, factors, clusters=clusters).attempts[0]
    for reach, reached in ((2 * widening(5) - 0.01, True), (2 * widening(5) + 0.01, False)):
        claimed = first.value + reach * first.standard_error
        again = check_claim(fake(), mean, factors, clusters=clusters, claimed=claimed)
        assert again.attempts[0].reached is reached


@pytest.mark.parametrize(
    ("metric", "claimed", "words"),
    [
        ("mig", 90, r"between 0 and 1, the range of mig; got 90 \(did you mean 0.9\?\)$"),
        ("mig", -0.1, "got -0.1$"),
        ("mig", 1e4, "got 10000$"),
        ("mig", 100.5, r"between 0 and 1, the range of mig; got 100.5$"),
        ("explicitness", -2, r"between -1 and 1, .* got -2 \(did you mean -0.02\?\)$"),
    ],
)
def test_a_claim_outside_the_range_is_questioned(metric, claimed, words):
    mean, factors, _ = code(40)
    with pytest.raises(ValueError, match=words):
        check_claim(METRICS[metric], mean, factors, claimed=claimed)
