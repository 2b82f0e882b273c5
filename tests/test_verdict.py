"""Each branch of the verdict, on encodings whose information is known exactly."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from disentangle_indicators import indicators, score
from disentangle_indicators._brackets import Bracket
from disentangle_indicators.distance import Distance
from disentangle_indicators.means import means_only
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import information_about_mean
from disentangle_indicators.verdict import _prior, verdict


def encode(*information, n=64, shift=0.0):
    """Latents with S = 1, no correlation, and exactly this information each."""
    var = np.exp(-2 * np.array(information))
    signs = hadamard(64)[:, 1 : len(information) + 1]
    signs = np.tile(signs, (math.ceil(n / 64), 1))[:n]
    return signs * np.sqrt(1 - var) + shift, np.broadcast_to(var, (n, len(information)))


def said(*information, n=64, shift=0.0, covariance=True, threshold=0.5):
    mean, var = encode(*information, n=n, shift=shift)
    return verdict(indicators(mean, var, covariance=covariance, threshold=threshold))


def test_the_encodings_are_what_they_claim():
    result = indicators(*encode(0.0, 0.3, 2.0), covariance=True)
    np.testing.assert_allclose(result.mutual_information_per_latent, [0, 0.3, 2], atol=1e-12)
    np.testing.assert_allclose(result.second_moment, 1)
    assert result.gaussian_total_correlation == pytest.approx(0, abs=1e-12)


LABELS = ["USED", "PRIOR", "TRUST", "DO"]


@given(
    st.lists(st.floats(0, 9), min_size=1, max_size=12),
    st.integers(2, 200),
    st.floats(-3, 3),
    st.booleans(),
)
def test_each_label_has_two_short_sentences(information, n, shift, covariance):
    lines = said(*information, n=n, shift=shift, covariance=covariance)
    assert list(lines) == LABELS[: len(lines)]
    for label, text in lines.items():
        assert text.endswith(".")
        assert "\n" not in text
        sentences = re.split(r"(?<=[.?]) (?=[A-Z])", text)
        assert len(sentences) <= (3 if label == "DO" else 2), text
        assert all(len(sentence.split()) <= 40 for sentence in sentences), text


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (
            (1.0003, 2.0, 3.0),
            (
                "All 3 latents are used: above 0.5 nats in Definition 3, an upper bound. The count is "
                "the same for any threshold below 1.000."
            ),
        ),
        (
            (1.0003,),
            (
                "The latent is used: above 0.5 nats in Definition 3, an upper bound. The count is the "
                "same for any threshold below 1.000."
            ),
        ),
        (
            (0.1997, 2.0003, 0.0, 0.001),
            (
                "1 of 4 latents is used: above 0.5 nats in Definition 3, an upper bound; 1 is weak, 2 "
                "are unused. The count is the same for any threshold from 0.200 to 2.000."
            ),
        ),
        (
            (0.0197, 2.0003, 3.0),
            (
                "2 of 3 latents are used: above 0.5 nats in Definition 3, an upper bound; 1 is weak. "
                "The count is the same for any threshold from 0.020 to 2.000."
            ),
        ),
        (
            (0.0, 0.2497),
            "No latent is used; 1 is weak, 1 is unused. The largest is at 0.25 nats in Definition 3.",
        ),
        (
            (0.0, 0.0),
            "No latent is used: posterior collapse. The largest is at 0 nats in Definition 3.",
        ),
        (
            (8.0, 1.0003),
            (
                "All 2 latents are used (1 near-deterministic): above 0.5 nats in Definition 3, an "
                "upper bound. The count is the same for any threshold below 1.000."
            ),
        ),
    ],
)
def test_used(information, expected):
    assert said(*information)["USED"] == expected


def test_used_names_the_threshold():
    assert "used: above 0.1 nats" in said(0.2, 0.3, threshold=0.1)["USED"]
    assert said(0.2, 0.25, threshold=0.3)["USED"].startswith("No latent is used")


def test_used_counts_the_exact_information_where_it_is_known():
    """A rare bit: Definition 3 is above the threshold, and the latent carries less."""
    mean = np.repeat([3.0, 0.0], [5, 95])[:, None]
    text = score(mean, var=np.full((100, 1), 0.04)).verdict["USED"]
    assert text.startswith("No latent is used; 1 is above the threshold in Definition 3 only.")
    # two distinct rows are too few: the entropy of 5 in 100, .199, less two standard errors
    assert float(re.search(r"carries at least (\S+) nats", text)[1]) < 0.199


def test_the_last_unused_and_the_first_near_deterministic_latent():
    limit = -0.5 * math.log(1e-6)
    assert "near-deterministic" in said(limit + 1e-3)["USED"]
    assert "near-deterministic" not in said(limit - 1e-3)["USED"]
    assert "1 is weak" in said(0.0101, 1.0)["USED"]
    assert "1 is unused" in said(0.0099, 1.0)["USED"]


counts = st.lists(st.floats(0, 6).map(lambda x: round(x, 3)), min_size=1, max_size=12).map(tuple)


@given(counts, st.sampled_from([0.05, 0.5, 2.0]))
def test_the_count_holds_over_its_range_and_not_beyond(information, threshold):
    result = indicators(*encode(*information), threshold=threshold)
    low, high = result.used_range
    values = information_about_mean(result.moments)

    def count(limit):
        return int(np.sum(values > limit))

    assert low <= threshold < high
    assert count(low) == result.used or low == 0
    assert count(min(np.nextafter(high, 0), 99.0)) == result.used
    assert math.isinf(high) or count(high) < result.used
    assert low == 0 or count(np.nextafter(low, 0)) > result.used


@given(st.lists(st.floats(0.01, 6), min_size=1, max_size=6).map(tuple))
def test_the_printed_range_is_not_wider_than_the_true_one(information):
    result = indicators(*encode(*information))
    text = verdict(result)["USED"]
    low, high = result.used_range
    if found := re.search(r"threshold (?:below|from \S+ to) (\d+\.\d+)\.", text):
        assert float(found[1]) <= high + 1e-9
    if found := re.search(r"threshold (?:above|from) (\d+\.\d+)", text):
        assert float(found[1]) >= low - 1e-9


def test_prior_of_a_perfect_match():
    text = said(1.0, 2.0)["PRIOR"]
    assert text.startswith("q(z) is at most 3.00 nats from the prior. No distance is seen beyond")
    assert re.search(r"chance: a perfect match shows about \S+ in Definition 4\.$", text)


def test_prior_of_a_collapsed_model_is_settled_by_the_rate():
    text = said(0.0, 0.001)["PRIOR"]
    assert text == (
        "q(z) is the prior, to within 0.0010 nats, because the encoder ignores its input."
    )
    wide = np.random.default_rng(0).normal(size=(2000, 1))
    wide *= np.sqrt(0.9) / np.sqrt(np.mean(wide**2))
    known = score(wide, var=np.full_like(wide, 0.1)).verdict["PRIOR"]
    assert re.fullmatch(r"q\(z\) is the prior, to within \S+ nats\.", known)
    assert "to within 0.0001 nats" in said(0.0, 1e-9)["PRIOR"]  # and not 0.0000


def test_trust_of_a_collapsed_model_bounds_every_value():
    text = said(0.0, 0.001)["TRUST"]
    assert text.endswith("±. No distance or information here is above 0.0010 nats.")


def test_dependence_that_rows_cannot_settle_is_a_possibility():
    """Eight independent latents of few rows: the total correlation may be 0."""
    z = np.random.default_rng(0).normal(size=(500, 8))
    text = score(2 + 0.99 * z, var=np.full_like(z, 0.02)).verdict["PRIOR"]
    found = r"up to \S+ if latents depend on each other, which these rows cannot settle"
    assert re.search(found, text)
    assert "because latents depend" not in text


@pytest.mark.parametrize(
    ("total", "marginals", "dependence", "apart"),
    [
        ((3.0, 8.0), (2.0, 3.0), (1.0, 5.0), False),
        ((3.0, 8.0), (2.0, 3.1), (1.0, 5.0), False),
        ((3.0, 8.0), (2.0, 4.0), (1.0, 5.0), True),
        ((3.0, 8.0), (1.0, 3.0), (1.0, 5.0), True),
        ((3.0, 8.0), (2.0, 8.0), (1.0, 5.0), False),
    ],
)
def test_parts_that_do_not_add_up_are_called_bounded_apart(total, marginals, dependence, apart):
    mean, var = encode(1.0, 2.0)
    result = indicators(mean, var)
    known = Distance(Bracket(*total), Bracket(*marginals), Bracket(*dependence))
    text = _prior(result, known, score(mean, var=var, joint=False).marginals)
    assert text.endswith(" (each part is bounded apart).") is apart


def test_where_rows_are_few_definition_3_may_be_the_better_number():
    """Gaussian latents: Definition 3 is exact in the population, and I of few rows is too low."""
    z = np.random.default_rng(0).normal(size=(300, 2))
    few = score(z, var=np.full_like(z, 1e-3), joint=False)
    gap, short = few.marginals.looseness, few.marginals.shortfall
    assert gap[np.argmax(gap)] <= short[np.argmax(gap)]
    text = few.verdict["TRUST"]
    assert (
        "Few rows make I(x; z_h) too low: the value of all data lies between I(x; z_h) and" in text
    )
    assert "Definition 3 is too high" not in text
    bits = np.sign(z) * 0.9 + 0.1 * z
    text = score(bits, var=np.full_like(z, 0.19), joint=False).verdict["TRUST"]
    assert "Definition 3 is too high" in text


def test_the_prior_is_checked_before_beta_is_raised():
    """A mixture's spread of one half: far from the prior, and a scale brings the codes nearer."""
    z = np.random.default_rng(0).normal(size=(4000, 4))
    do = score(2 * z, var=np.full_like(z, 0.5)).verdict["DO"]
    assert do.startswith(
        "First check the prior, the scale, and that no arrays are swapped. Then raise β or train "
        "longer; scaling the codes by 0.4"
    )


def test_correlations_by_chance_are_no_distance():
    """q(z) is the prior itself: what few rows show of correlation is chance."""
    mean = np.random.default_rng(0).normal(size=(1000, 64)) * 0.9
    result = indicators(mean, np.full_like(mean, 0.19), covariance=True)
    assert result.kl_aggregate_prior_full_mean > 0.3
    assert "No distance is seen beyond chance" in verdict(result)["PRIOR"]


def test_prior_of_a_shifted_model():
    """Both means are 3 from zero: KL(q(z) || p) of the Gaussian with that mean is 2 * 9 / 2."""
    lines = said(1.0, 2.0, shift=3.0)
    low, high = map(float, re.match(r"q\(z\) is (\S+) to (\S+) nats", lines["PRIOR"]).groups())
    assert 7.5 <= low <= 9.0  # less two standard errors over 64 rows
    assert 12 <= high <= 13.5  # Definition 1 and two standard errors
    assert lines["PRIOR"].endswith(
        "Exact marginals, which were not computed, would narrow the range."
    )
    assert lines["DO"].startswith(
        "The means of latents 0, 1 are off zero: train longer, or give the prior's own with prior_mean=."
    )


def test_the_states_of_the_verdict_add_up():
    """Six bits that are rare, in one of which Definition 3 alone passes the threshold."""
    mean, var = encode(*[2.0] * 3, *[0.2] * 2, 0.0, n=640)
    mean = np.concatenate([mean, np.where(np.arange(640) % 20, 0.0, 3.0)[:, None]], axis=1)
    var = np.concatenate([var, np.full((640, 1), 0.04)], axis=1)
    text = score(mean, var=var, joint=False).verdict["USED"]
    assert text.startswith(
        "3 of 7 latents are used: above 0.5 nats of information; 1 is above the"
    )
    assert "threshold in Definition 3 only, 2 are weak, 1 is unused." in text


def test_a_latent_at_the_threshold_decides_the_count():
    text = said(0.5002, 0.4999)["USED"]
    assert text.endswith(
        "The count depends on the threshold: a latent is within 0.002 nats of it."
    )


def test_saturated_latents_ask_for_more_rows():
    """Four nats of 64 rows: fewer than ten posteriors overlap."""
    rng, var = np.random.default_rng(0), np.full((64, 2), [np.exp(-8), 1.0])
    lines = score(rng.normal(size=(64, 2)) * [1.0, 0.0], var=var, joint=False).verdict
    assert lines["DO"].startswith("Encode more rows: 1 latent is saturated.")
    assert '"Too few rows"' in lines["DO"]


def test_the_offset_of_a_used_latent_is_named():
    mean, var = encode(2.0, 1.0, 0.0, n=640)
    lines = verdict(indicators(mean + np.array([0.0, 1.0, 0.0]), var, covariance=True))
    assert lines["DO"].startswith("The mean of latent 1 is off zero: ")


def test_dependence_is_what_the_marginals_leave():
    """Two latents are one: the marginals are N(0, 1), and the rest of the distance is dependence."""
    z = np.random.default_rng(0).normal(size=(4000, 1))
    mean = np.repeat(z - z.mean(), 2, axis=1) * np.sqrt(0.9) / z.std()
    found = score(mean, var=np.full_like(mean, 0.1))
    truth = -0.5 * np.log(1 - 0.81)  # of a Gaussian with correlation 0.9
    low, high = found.distance.dependence
    assert 0.9 * truth <= low <= truth <= high
    assert "because latents depend on each other" in found.verdict["PRIOR"]
    assert "single latents show nothing beyond chance" in found.verdict["PRIOR"]


def test_trust_of_a_plain_case():
    assert said(1.0, 2.0)["TRUST"] == (
        "The only error of Definition 1 and S is that of sampling, ±. Definitions 2 and 3 are upper bounds of "
        "the information."
    )


@pytest.mark.parametrize(("n", "few"), [(19, True), (20, False)])
def test_trust_with_few_rows(n, few):
    lines = said(0.1, 0.1, n=n)
    assert (f"{n} rows are few for 2 latents: do not trust covariances" in lines["TRUST"]) is few


def test_trust_beyond_log_n():
    assert "log n" not in said(2.0, 2.1)["TRUST"]
    assert said(2.0, 2.5)["TRUST"].endswith(
        "Definition 2 may be looser: 64 rows show at most log n = 4.2 nats."
    )


@pytest.mark.parametrize(
    ("information", "options", "section"),
    [
        ((0.0, 0.001), {}, "My VAE has collapsed"),
        ((8.0, 8.0, 0.0), {}, "My VAE is a plain autoencoder"),
        ((1.0, 2.0), {"shift": 3.0}, "The mean of a latent is off zero"),
        ((1.0, 2.0, 0.0), {"n": 15}, "Too few rows"),
        ((1.0, 2.0), {}, "Every latent is used"),
    ],
)
def test_what_to_do_names_a_section_of_the_page(information, options, section):
    assert f'See "{section}"' in said(*information, **options)["DO"]
    page = Path(__file__).parents[1] / "docs" / "what_now.md"
    assert f"## {section}\n" in page.read_text(encoding="utf-8")


def test_nothing_to_do_where_nothing_is_wrong():
    assert "DO" not in said(1.0, 2.0, 0.0)


def test_one_row():
    lines = verdict(indicators(np.ones((1, 2)), np.ones((1, 2))))
    assert list(lines) == LABELS[:3]
    assert "No number here generalises" in lines["TRUST"]


def test_means_only():
    mean = np.array([[0.2, 1.0, 0.0], [-0.2, 2.0, 0.01], [0.0, 3.0, 0.0]])
    sentences = verdict(means_only(Encodings.of(mean)))
    assert sentences["USED"] == (
        "2 of 3 latents are active units: Var(mean) is at least 0.01. Whether they are used needs "
        "the posterior variances."
    )
    assert "needs the posterior variances" in sentences["PRIOR"]
    assert "averages over 3 rows" in sentences["TRUST"]


@given(
    rng=st.integers(0, 10**6).map(np.random.default_rng),
    n=st.integers(2, 300),
    d=st.integers(1, 5),
    joint=st.booleans(),
)
def test_brackets_of_the_distance_are_consistent(rng, n, d, joint):
    mean = rng.normal(size=(n, d)) * np.exp(rng.normal(size=d))
    var = np.exp(rng.normal(size=(n, d)) - 1)
    card = score(mean, var=var, joint=100 if joint else False)
    known = card.distance
    for low, high in (known.total, known.marginals, known.dependence):
        assert 0 <= low <= high
    assert (
        known.total.high
        <= card.kl_posterior_prior + 2 * card.standard_errors["kl_posterior_prior"]
    )
    assert known.marginals.low <= known.total.high
    assert known.total.low <= known.marginals.high + known.dependence.high + 1e-9


@pytest.mark.slow
def test_brackets_of_the_distance_contain_the_truth():
    """Gaussian codes of known covariance: KL(q(z) || p), the marginals and TC in closed form."""
    rng = np.random.default_rng(0)
    cov = np.array([[1.5, 0.6, 0.0], [0.6, 0.9, 0.0], [0.0, 0.0, 1.0]])
    root = np.linalg.cholesky(cov - 0.1 * np.eye(3))
    total = 0.5 * (np.trace(cov) - 3 - np.linalg.slogdet(cov)[1])
    single = 0.5 * (np.trace(cov) - 3 - np.log(np.diag(cov)).sum())
    missed = np.zeros(3)
    for _ in range(100):
        mean = rng.normal(size=(1000, 3)) @ root.T
        known = score(mean, var=np.full((1000, 3), 0.1), joint=500).distance
        for k, (truth, (low, high)) in enumerate(
            zip(
                (total, single, total - single),
                (known.total, known.marginals, known.dependence),
                strict=True,
            )
        ):
            missed[k] += not low <= truth <= high
    # two standard errors on both sides: 5%, and 5 standard errors of a share of 100
    assert np.all(missed <= 5 + 5 * math.sqrt(5))


def test_more_clusters_and_not_more_rows_are_asked_for():
    mean, var = encode(1.0, 2.0, 0.0, n=640)
    result = indicators(mean, var, clusters=np.arange(640) // 64)
    assert verdict(result)["DO"].startswith("Use more clusters.")
    assert said(1.0, 2.0, 0.0, n=15)["DO"].startswith("Encode more rows.")


def test_the_upper_end_takes_off_what_the_population_carries_at_least():
    """Ten clusters: the rows may carry more than the population."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(10, 2)).repeat(20, axis=0) + 0.3 * rng.normal(size=(200, 2))
    card = score(mean, var=np.full((200, 2), 0.1), clusters=np.arange(200) // 20, joint=False)
    error = card.standard_errors["kl_posterior_prior"]
    least = card.marginals.least_information.max()
    assert card.distance.total.high == card.kl_posterior_prior + 2 * error - least


@pytest.mark.parametrize(("n", "d"), [(8, 300), (16, 300), (30, 300), (60, 300), (16, 1000)])
def test_few_rows_of_many_latents_show_no_distance_of_a_perfect_match(n, d):
    """What few rows add to the sum over the marginals is known to first order and 15% only."""
    for seed in range(3):
        mean = np.random.default_rng(seed).normal(size=(n, d)) * np.sqrt(0.9)
        card = score(mean, var=np.full((n, d), 0.1), joint=False)
        assert card.distance.marginals.low == 0.0
        assert card.distance.total.low == 0.0


def test_what_to_do_about_dependence_and_about_widths():
    """Five copies of one code, and codes of standard deviation 1.6."""
    rng = np.random.default_rng(0)
    copies = np.repeat(rng.normal(size=(2000, 1)), 5, axis=1) + 0.1 * rng.normal(size=(2000, 5))
    do = score(2 * copies, var=np.full((2000, 5), 0.9)).verdict["DO"]
    assert "longer; scaling the codes by 0.4" in do
    do = score(copies, var=np.full((2000, 5), 0.1)).verdict.get("DO", "")
    assert "scale the codes" not in do
