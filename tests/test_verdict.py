"""Each branch of the three sentences, on encodings whose information is known exactly."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from disentangle_indicators import indicators
from disentangle_indicators.means import means_only
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import information_about_mean
from disentangle_indicators.verdict import verdict


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


def test_three_labels_and_whole_sentences():
    for sentences in (said(1.0), said(0.0, 2.0), said(0.0)):
        assert list(sentences) == ["USED", "PRIOR", "TRUST"]
        assert all(text.endswith(".") and "\n" not in text for text in sentences.values())


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (
            (1.0003, 2.0, 3.0),
            (
                "3 of 3 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold below 1.000); "
                "all are used, so the width may be the limit."
            ),
        ),
        (
            (1.0003,),
            "1 of 1 latent is above 0.5 nats in Definition 3 about its mean (so it is for any threshold below 1.000).",
        ),
        (
            (0.1997, 2.0003, 0.0, 0.001),
            (
                "1 of 4 latents is above 0.5 nats in Definition 3 about its mean (so it is for any threshold from 0.200 to "
                "2.000); 1 weak, 2 unused."
            ),
        ),
        (
            (0.0197, 2.0003, 3.0),
            (
                "2 of 3 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold from 0.020 to "
                "2.000); 1 weak."
            ),
        ),
        (
            (0.0, 2.0003),
            (
                "1 of 2 latents is above 0.5 nats in Definition 3 about its mean (so it is for any threshold below 2.000); "
                "1 unused."
            ),
        ),
        (
            (0.0, 0.2497),
            (
                "0 of 2 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold from 0.250 on); "
                "1 weak, 1 unused."
            ),
        ),
        (
            (0.0, 0.0),
            (
                "0 of 2 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold): posterior "
                "collapse."
            ),
        ),
        (
            (8.0, 1.0003),
            (
                "2 of 2 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold below 1.000); "
                "all are used, so the width may be the limit; 1 near-deterministic (posterior "
                "variance below 1e-06 of the aggregated one)."
            ),
        ),
        (
            (8.0003, 9.0, 0.0),
            (
                "2 of 3 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold below 8.000); 1 "
                "unused; 2 near-deterministic (posterior variance below 1e-06 of the aggregated one)."
            ),
        ),
    ],
)
def test_used(information, expected):
    assert said(*information)["USED"] == expected


def test_used_names_the_threshold():
    assert (
        "2 of 2 latents are above 0.1 nats in Definition 3 about their mean"
        in said(0.2, 0.3, threshold=0.1)["USED"]
    )
    assert (
        "0 of 2 latents are above 0.3 nats in Definition 3 about their mean"
        in said(0.2, 0.25, threshold=0.3)["USED"]
    )


def test_the_last_unused_and_the_first_near_deterministic_latent():
    limit = -0.5 * math.log(1e-6)
    assert "near-deterministic" in said(limit + 1e-3)["USED"]
    assert "near-deterministic" not in said(limit - 1e-3)["USED"]
    assert "1 weak" in said(0.0101, 1.0)["USED"]
    assert "1 unused" in said(0.0099, 1.0)["USED"]


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
    if found := re.search(r"(?:below|to) (\d+\.\d+)\)", text):
        assert float(found[1]) <= high + 1e-9
    if found := re.search(r"from (\d+\.\d+) (?:to|on)", text):
        assert float(found[1]) >= low - 1e-9


def test_prior_of_a_perfect_match():
    text = said(1.0, 2.0)["PRIOR"]
    assert re.match(r"Second moments show no distance: Definition 4 is -?0\.0000 ± ", text)
    assert "with mean and correlation" not in text
    assert "≤ 3.000, Definition 1, as if the code held no information" in text
    # signs have no spread of the second moment
    assert re.search(r"nats, and a perfect match shows about \S+ by chance; ≤ 3\.000", text)
    assert text.endswith("shape and further dependence are not known.")


def test_correlations_by_chance_are_no_bound():
    """q(z) is the prior itself: what few rows show of correlation is chance."""
    mean = np.random.default_rng(0).normal(size=(1000, 64)) * 0.9
    result = indicators(mean, np.full_like(mean, 0.19), covariance=True)
    assert result.kl_aggregate_prior_full_mean > 0.3
    assert "with mean and correlation" not in verdict(result)["PRIOR"]
    near = np.random.default_rng(0).normal(size=(1000, 64))
    shown = indicators(near, np.full_like(near, 1e-6), covariance=True)
    for name in (
        "kl_aggregate_prior",
        "gaussian_total_correlation",
        "kl_aggregate_prior_full_mean",
    ):
        error = shown.standard_errors[name]
        assert (
            abs(getattr(shown, name) - shown.chance[name]) <= 5 * error + 0.05 * shown.chance[name]
        )


def test_prior_of_a_shifted_model():
    text = said(1.0, 2.0, shift=3.0)["PRIOR"]
    second = 10.0
    kl = 2 * 0.5 * (second - 1 - math.log(second))
    assert f"KL(q(z) || p) ≥ {kl:.2f} ± " in text
    assert re.search(r"≥ 8\.9\d+ ± \S+ with mean and correlation", text)
    assert "swapped arrays, a wrong scale, or a model trained with a very small weight" in text
    assert "the standard deviations of the latents are 1, 1 (a factor of 1 scales to 1)" in text
    assert "perfect match" not in text


def test_the_first_kl_that_chance_does_not_explain():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(4000, 1))
    mean = (mean - mean.mean()) / mean.std() * np.sqrt(0.9)
    chance = 0.81 / (2 * 4000)
    for times, expected in ((1.8, True), (2.6, False)):
        scale = 1 + math.sqrt(chance * times)  # Definition 4 is the square of the rest
        result = indicators(mean * scale, np.full_like(mean, 0.1 * scale**2), covariance=True)
        assert result.kl_aggregate_prior == pytest.approx(chance * times, rel=0.03)
        assert result.chance["kl_aggregate_prior"] == pytest.approx(chance, rel=0.1)
        assert ("perfect match" in verdict(result)["PRIOR"]) is expected


def test_prior_without_the_covariance_or_the_errors():
    assert "correlation" not in said(1.0, covariance=False)["PRIOR"]
    bare = verdict(indicators(*encode(1.0, shift=1.0), errors=False))["PRIOR"]
    assert "±" not in bare


def test_trust_of_a_plain_case():
    assert said(1.0, 2.0)["TRUST"] == (
        "Definition 1 and S are plain averages, good within their errors; Definitions 2 and 3 "
        "are upper bounds of the information."
    )


@pytest.mark.parametrize(("n", "few"), [(19, True), (20, False)])
def test_trust_with_few_rows(n, few):
    text = said(0.1, 0.1, n=n)["TRUST"]
    assert (f"{n} rows are few for 2 latents" in text) is few


def test_trust_beyond_log_n_in_sum():
    text = said(2.0, 2.5)["TRUST"]
    assert "log n = 4.16 nats is the most that I(x; z) of these rows can be; Definition 2 " in text
    assert "latents are above log n" not in text


def test_trust_beyond_log_n_per_latent():
    text = said(4.5, 5.0, 1.0)["TRUST"]
    assert "2 of the latents are above log n = 4.16 nats in Definition 3, more than these" in text
    assert "is the most that" not in text


def test_trust_within_log_n():
    assert "log n" not in said(2.0, 2.1)["TRUST"]
    assert "log n" in said(2.0, 2.2)["TRUST"]


def test_means_only():
    mean = np.array([[0.2, 1.0, 0.0], [-0.2, 2.0, 0.01], [0.0, 3.0, 0.0]])
    sentences = verdict(means_only(Encodings.of(mean)))
    assert sentences["USED"] == (
        "2 of 3 latents are active units (Var(mean) ≥ 0.01); whether they are used needs the "
        "posterior variances."
    )
    assert "is not known" in sentences["PRIOR"]
    assert "3 rows" in sentences["TRUST"]
    assert "Definitions 1-7 cannot be had" in sentences["TRUST"]
