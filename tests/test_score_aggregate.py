"""score(): the aggregated posterior in its tables, its sentences and its reports."""

import json
import re

import numpy as np
import pytest

from disentangle_indicators import Encodings, _cost, score
from disentangle_indicators._brackets import between, down, up
from disentangle_indicators.aggregate import certify, joint, marginals
from disentangle_indicators.aggregate._joint_result import in_words, span
from disentangle_indicators.comparison import compare

PART = {"certify": "certificate"}
"""The section that an option asks for, where it has another name."""


def wide(n=300):
    """Few rows and much information in two latents, one of them two-sided: saturated."""
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], size=n)
    mean = np.stack([0.995 * side, rng.normal(size=n), np.zeros(n)], axis=1)
    return mean, np.stack([np.full(n, 0.01), np.full(n, 1e-5), np.ones(n)], axis=1)


def narrow(n=2000):
    """Two latents with half a nat each, far from saturated, and dependent."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=n)
    return np.stack([x, 0.9 * np.abs(x)], axis=1), np.full((n, 2), 0.6)


def flat(card):
    return " ".join(repr(card).split())


def latents(card):
    (table,) = [b for b in card.blocks() if getattr(b, "title", "") == "Latents, by information"]
    return table


def test_latents_are_ranked_by_what_they_carry():
    """Definition 3 puts the two-sided latent first; it carries one bit."""
    rng = np.random.default_rng(0)
    mean = np.stack([rng.choice([-1.0, 1.0], 400), rng.normal(size=400)], axis=1)
    var = np.stack([np.full(400, 0.01), np.full(400, 0.1)], axis=1)
    card = score(mean, var=var)
    assert card.mutual_information_per_latent[0] > card.mutual_information_per_latent[1]
    assert [row[0] for row in latents(card).rows] == ["1", "0"]
    assert latents(card).rows[1][1].startswith("0.6")
    bare = score(mean, var=var, marginals=False)
    assert [row[0] for row in latents(bare).rows] == ["0", "1"]
    assert bare.marginals is None
    assert "left out" not in repr(bare)
    assert "in Definition 3 only" not in card.verdict["USED"]
    used = score(mean, var=var, threshold=1.0).verdict["USED"]
    assert used.startswith(
        "1 of 2 latents is used: above 1 nats of information; 1 is above the threshold in Definition 3 only"
    )


def test_the_parts_are_those_of_the_library():
    mean, var = wide()
    card = score(mean, var=var, joint=500, certify=True, rng=7)
    alone = joint(mean, var, points=500, rng=7)
    for name, value in alone.own_fields().items():
        if isinstance(value, float):  # `score` has summed the errors too, in another order
            assert getattr(card.joint, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert card.marginals.to_dict() == marginals(mean, var).to_dict()
    assert card.certificate.to_dict() == certify(mean, var).to_dict()
    content = json.loads(card.to_json())
    wanted = json.loads(alone.marginals.to_json())
    assert content["marginals"] == {k: v for k, v in wanted.items() if k != "provenance"}
    assert content["joint"]["ranges"]["mutual_information"]["low"] == pytest.approx(
        span(alone, "mutual_information")[0], rel=1e-9
    )
    assert "marginals" not in content["joint"]
    assert content["certificate"]["certain"] is True
    frame = card.to_frame()
    np.testing.assert_array_equal(frame["marginal_information"], card.marginals.information)
    assert {"marginal_kl_prior_se", "marginal_looseness", "marginal_entropy"} < set(frame)


def test_the_prior_moves_the_marginals():
    mean, var = narrow()
    card = score(3 + 2 * mean, var=4 * var, prior_mean=3.0, prior_var=4.0)
    np.testing.assert_allclose(card.marginals.entropy, marginals(mean, var).entropy, atol=1e-9)


def test_saturated_rows_give_ranges_only():
    mean, var = wide()
    card = score(mean, var=var, joint=True)
    assert card.joint.saturated
    text = flat(card)
    assert f"{card.joint.mutual_information:.3f} ±" not in text
    assert "the posteriors of these 300 rows hardly overlap" in text
    low, high = map(
        float, re.search(r"I\(x; z\) is ([\d.]+) to ([\d.]+) nats", card.verdict["TRUST"]).groups()
    )
    errors = card.joint.standard_errors
    ends = card.joint.mutual_information_low, card.joint.mutual_information_high
    assert low == pytest.approx(ends[0] - 2 * errors["mutual_information_low"], abs=0.01)
    assert high == pytest.approx(ends[1] + 2 * errors["mutual_information_high"], abs=0.01)
    assert re.search(r"q\(z\) is [\d.]+ to [\d.]+ nats from the prior", text)


@pytest.mark.parametrize("case", [wide, narrow])
def test_the_ranges_of_the_json_are_those_that_are_printed(case):
    mean, var = case()
    card = score(mean, var=var, joint=True)
    ranges = card.to_dict()["joint"]["ranges"]
    printed = {row[0].strip(): " ".join(row[1:]) for row in card.joint.blocks()[0].rows}
    for name, label in (
        ("mutual_information", "I(x; z)"),
        ("total_correlation", "total correlation"),
        ("kl_aggregate_prior", "KL(q(z) || p)"),
        ("other_dependence", "other dependence"),
    ):
        assert in_words((ranges[name]["low"], ranges[name]["high"])) in printed[label]


def test_rows_that_overlap_give_values():
    card = score(*narrow()[:1], var=narrow()[1], joint=True)
    assert not card.joint.saturated
    errors = card.joint.standard_errors
    value = f"{card.joint.mutual_information:.3f} ± {errors['mutual_information']:.3f}"
    low, high = map(
        float, re.search(r"I\(x; z\) is (\S+) to (\S+)\.$", card.verdict["TRUST"]).groups()
    )
    assert low <= card.joint.mutual_information <= high <= low + 0.1
    assert f"I(x; z) {value} of these rows; of the population: " in flat(card)
    assert "only ranges" not in repr(card)
    low, high = map(
        float, re.match(r"q\(z\) is (\S+) to (\S+) nats", card.verdict["PRIOR"]).groups()
    )
    assert low <= card.joint.kl_aggregate_prior <= high


def test_the_prior_sentence_says_what_definition_4_misses():
    card = score(*wide()[:1], var=wide()[1])
    exact = card.marginals
    text = card.verdict["PRIOR"]
    low = float(re.match(r"q\(z\) is (\S+) to ", text)[1])
    error = exact.standard_errors["total_kl_prior_low"]
    assert low == pytest.approx(exact.total_kl_prior_low - 2 * error, abs=0.01)
    assert exact.total_kl_prior_low > 10 * card.kl_aggregate_prior
    assert "(by second moments in 1 of 3)" in text


def test_the_trust_sentence_names_the_loosest_latent():
    rng = np.random.default_rng(0)
    mean = 2.5 * rng.choice([-1.0, 1.0], size=(300, 1)) + 0.01 * rng.normal(size=(300, 1))
    card = score(mean, var=np.full_like(mean, 0.06))
    third, exact = card.mutual_information_per_latent, card.marginals
    assert (
        f"latent 0 shows {third[0]:.3f} nats and carries {exact.information[0]:.3f}"
    ) in card.verdict["TRUST"]
    tight = score(np.random.default_rng(0).normal(size=(4000, 1)), var=np.full((4000, 1), 0.1))
    assert "Definition 3 is too high by at most 0.0" in tight.verdict["TRUST"]
    exact = score(np.zeros((40, 1)), var=np.ones((40, 1)))
    assert "No distance or information here is above 0.0000 nats" in exact.verdict["TRUST"]


def test_latents_that_tell_all_rows_apart_are_named():
    text = score(*wide()[:1], var=wide()[1], joint=False).verdict["TRUST"]
    assert "In one latent fewer than ten posteriors overlap: more rows would show more" in text


def test_one_cluster_leaves_the_upper_end_open():
    mean, var = wide()
    card = score(mean, var=var, joint=True, clusters=np.zeros(300))
    assert card.joint.mutual_information_high is None
    assert card.verdict["TRUST"].endswith("would show more information.")
    assert card.joint.total_correlation_high == card.joint.kl_aggregate_prior_high
    json.loads(card.to_json())


def test_clusters_have_a_range():
    mean, var = wide()
    card = score(mean, var=var, joint=True, clusters=np.arange(300) // 3)
    assert card.joint.draws == 100
    assert re.search(r"I\(x; z\) [\d.]+ to [\d.]+ of the population", flat(card))
    assert "Rows of one cluster count as one draw, of 100." in flat(card)
    assert "clusters forbid" not in card.verdict["TRUST"]


def test_beyond_a_size_the_marginals_are_computed_in_one_pass(monkeypatch):
    mean, var = wide()
    exact = score(mean, var=var)
    monkeypatch.setattr(_cost, "LIMIT", 1e-6 * (3 * 10_300 - 1))
    monkeypatch.setattr(Encodings, "copies", property(lambda _: pytest.fail("held all rows")))
    card = score(mean, var=var)
    assert card.joint is None
    np.testing.assert_allclose(card.marginals.entropy, exact.marginals.entropy, atol=1e-4)
    assert card.marginals.provenance.call.endswith("one_pass_marginals")
    assert "copies are not looked for where rows are read one block at a time" in flat(card)
    assert card.verdict["USED"][:40] == exact.verdict["USED"][:40]


def test_beyond_a_size_marginals_of_clusters_are_left_out_with_the_reason(monkeypatch):
    mean, var = wide()
    clusters = np.arange(300) // 3
    monkeypatch.setattr(_cost, "LIMIT", 1e-6 * (3 * 10_300 - 1))
    card = score(mean, var=var, clusters=clusters)
    assert card.marginals is None
    assert card.joint is None
    why = "they take about 0 s and 0.1 GB; marginals=True computes them"
    assert card.to_dict()["reasons"]["marginals"] == why
    assert f"exact marginals left out: {why}" in flat(card)
    assert score(mean, var=var, clusters=clusters, marginals=True).marginals is not None
    monkeypatch.setattr(_cost, "LIMIT", 1e-6 * 3 * 10_300)
    assert score(mean, var=var, clusters=clusters).marginals is not None


def test_the_joint_is_computed_unasked_up_to_a_size_and_left_out_with_the_reason(monkeypatch):
    mean, var = wide()
    seconds = 1e-6 * 3 * 10_300 + 1.5e-9 * 4096 * (300 * 43 + 1300 * 3) + 7e-10 * 27
    monkeypatch.setattr(_cost, "LIMIT", seconds + 1e-9)
    card = score(mean, var=var)
    assert card.joint.points == 4096
    assert card.provenance.seed == 0
    monkeypatch.setattr(_cost, "LIMIT", seconds - 1e-9)
    card = score(mean, var=var)
    assert card.joint is None
    assert card.provenance.seed is None
    assert card.reasons == {"joint": "it takes about 0 s and 0.3 GB; joint=True computes it"}
    assert "Joint left out: it takes about 0 s and 0.3 GB; joint=True computes it." in flat(card)
    assert score(mean, var=var, joint=True).joint.points == 4096
    assert score(mean, var=var, joint=False).reasons == {}


@pytest.mark.parametrize("options", [{"marginals": False}, {"joint": False}])
def test_a_section_that_is_not_wanted_takes_the_joint_along(options):
    mean, var = wide()
    card = score(mean, var=var, **options)
    assert card.joint is None
    assert card.reasons == {}


def test_one_row_has_no_joint_unasked():
    card = score(np.zeros((1, 2)), var=np.ones((1, 2)))
    assert card.joint is None


def test_what_takes_long_is_announced_before_it_starts(monkeypatch, caplog):
    mean, var = wide()
    score(mean, var=var, joint=True, certify=True)
    assert not caplog.messages
    monkeypatch.setattr(_cost, "LIMIT", 1e-4)
    score(mean, var=var)
    assert "the marginals in one pass about 0 s and 0.1 GB" in caplog.messages[0]
    caplog.clear()
    score(mean, var=var, joint=200, certify=True)
    said = "estimated for 300 rows and 3 latents: the joint about 0 s and 0.3 GB, the certificate"
    assert caplog.messages == [f"{said} about 0 s and 0.3 GB"]
    caplog.clear()
    score(mean, var=var, marginals=True)
    assert "the marginals about 0 s and 0.1 GB" in caplog.messages[0]


def test_costs_are_those_that_were_measured():
    """CPU seconds that marginals and joint took together on one core; the clock is not read here."""
    measured = {(10_000, 16): 4.8, (10_000, 128): 15.0, (60_000, 10): 20.4, (5000, 1024): 56.8}
    for (n, d), seconds in measured.items():
        assert _cost.of_joint(n, d, 4096).seconds == pytest.approx(seconds, rel=0.2)


def test_what_float64_cannot_resolve_is_left_out_with_the_reason():
    mean, var = wide()
    var[5, 1] = 1e-40
    card = score(mean, var=var)
    assert card.marginals is None
    assert "exact marginals left out: latent 1: var is too small for float64" in flat(card)
    assert "var[5] = 1e-40" in flat(card)
    for asked in ("marginals", "joint"):
        card = score(mean, var=var, **{asked: True})
        assert card.reasons[asked].startswith("latent 1: var is too small")
        assert card.used == 2
    assert "Joint left out: latent 1: var is too small" in flat(card)


@pytest.mark.parametrize("asked", ["marginals", "joint", "certify"])
def test_means_only_have_no_aggregated_posterior(asked):
    card = score(np.eye(3), **{asked: True})
    assert "the posterior variances; there are only means" in flat(card)
    assert "the posterior variances" in card.reasons[PART.get(asked, asked)]
    assert card.active_units == 3
    assert score(np.eye(3)).reasons == {}


def test_batches_are_gathered():
    mean, var = wide()
    parts = [(mean[rows], var[rows]) for rows in (slice(100), slice(100, 300))]
    card, whole = score(batches=parts, joint=True), score(mean, var=var, joint=True)
    assert card.joint.mutual_information_low == pytest.approx(
        whole.joint.mutual_information_low, abs=1e-9
    )
    assert card.joint.standard_errors == pytest.approx(whole.joint.standard_errors, rel=1e-6)
    assert card.marginals.information == pytest.approx(whole.marginals.information, abs=1e-9)


def test_few_rows_say_what_chance_makes():
    """A Gaussian code that matches the prior: all that the marginals show is lumps."""
    rng = np.random.default_rng(0)
    mean, var = np.sqrt(0.995) * rng.normal(size=(300, 3)), np.full((300, 3), 0.005)
    card = score(mean, var=var)
    exact = card.marginals
    assert exact.total_shortfall == pytest.approx(exact.total_kl_prior, rel=0.3)
    assert "No distance is seen beyond chance" in card.verdict["PRIOR"]
    assert " shows " not in card.verdict["TRUST"]


def test_the_offset_is_no_shape():
    mean, var = np.random.default_rng(0).normal(5, 1, size=(2000, 1)), np.full((2000, 1), 0.1)
    card = score(mean, var=var)
    assert "carries" not in card.verdict["TRUST"]  # the shape is a Gaussian's
    assert 'See "The mean of a latent is off zero"' in card.verdict["DO"]


def test_no_information_is_no_saturation():
    rng = np.random.default_rng(0)
    card = score(1e-3 * rng.normal(size=(8, 2)), var=np.ones((8, 2)), joint=True)
    assert not card.joint.saturated
    assert "overlap" not in repr(card)


def test_saturated_values_stay_out_of_reports():
    content = score(*wide()[:1], var=wide()[1], joint=True).to_dict()["joint"]
    assert content["mutual_information"] is content["total_correlation"] is None
    assert content["of_rows"]["mutual_information"] == pytest.approx(5.33, abs=0.05)
    content = score(*narrow()[:1], var=narrow()[1], joint=True).to_dict()["joint"]
    assert content["mutual_information"] == content["of_rows"]["mutual_information"]
    ranges = content["ranges"]
    assert 0 <= ranges["total_correlation"]["high"] <= ranges["kl_aggregate_prior"]["high"]


def test_progress_sees_every_loop():
    seen = []

    def progress(steps, description, total):
        steps = list(steps)
        seen.append((description, len(steps), total))
        return steps

    score(*wide()[:1], var=wide()[1], joint=True, certify=True, progress=progress)
    assert [name for name, *_ in seen] == ["marginals", "joint", "certificate"]
    assert all(steps == total for _, steps, total in seen)


def test_comparisons_carry_the_exact_values():
    cards = [
        score(m, var=v, joint=True, name=str(i)) for i, (m, v) in enumerate([wide(), narrow(300)])
    ]
    both = compare(cards)
    text = flat(both)
    exact = [card.marginals for card in cards]
    low = exact[0].total_information - 2 * exact[0].standard_errors["total_information"]
    assert f"0 ≥ {low:.3f} " in text  # one latent is saturated
    assert f"1 {exact[1].total_information:.3f} ± " in text
    assert "total correlation " in text
    frame = both.to_frame()
    assert frame["marginals_total_kl_prior"].tolist() == [
        card.marginals.total_kl_prior for card in cards
    ]
    assert frame["joint_mutual_information_high"].tolist() == pytest.approx(
        [span(card.joint, "mutual_information")[1] for card in cards], rel=1e-12
    )
    half = compare(
        [cards[0], score(*narrow(300)[:1], var=narrow(300)[1], marginals=False, name="b")]
    )
    (table,) = [b for b in half.blocks() if getattr(b, "title", "") == "Aggregated posteriors"]
    assert table.rows[1] == ("b", "-", "-", "-", "-")


def test_comparisons_carry_certificates():
    card = score(*wide(60)[:1], var=wide(60)[1], certify=True, name="a")
    both = compare([card, score(*wide(60)[:1], var=wide(60)[1], name="b")])
    certain = f"{down(card.certificate.low)} to {up(card.certificate.high)}"
    (table,) = [b for b in both.blocks() if getattr(b, "title", "") == "Aggregated posteriors"]
    assert [row[-1] for row in table.rows] == [certain, "-"]
    assert both.to_frame()["certificate_low"][0] == card.certificate.low


def test_a_quantity_has_one_range_in_sentences_tables_theorems_and_json():
    """The marginals bound the total correlation of these rows from above more than the joint does."""
    with np.load("examples/data/mnist_vae.npz") as file:
        mean, logvar = (file[name][:500].astype(float) for name in ("mu", "logvar"))
    card = score(mean, logvar=logvar, joint=200, theorems=True)
    content = card.to_dict()
    low, high = card.distance.dependence
    assert high < span(joint(mean, np.exp(logvar), points=200), "total_correlation")[1] - 0.01
    assert content["joint"]["ranges"]["total_correlation"] == {"low": low, "high": high}
    assert content["joint"]["ranges"]["kl_aggregate_prior"] == content["distance"]["total"]
    assert not any(name.endswith(("_low", "_high")) for name in content["joint"])
    assert card.to_scalars()["joint.ranges.total_correlation.high"] == high
    second = card.theorems["I(x; z) = sum of I(x; z_h)"]
    assert (second.low, second.high) == (low, high)
    text = between(card.distance.dependence)
    assert f"total correlation {text} " in " ".join(repr(card).split())
    assert text.removeprefix("at most ") in card.verdict["PRIOR"]
    assert text in second.sentence
    assert second.number == f"{text} nats"
