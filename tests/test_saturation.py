"""Narrow posteriors: no bound and no interval of the population from rows that cannot show it."""

import math
import re

import numpy as np
import pytest

from disentangle_indicators import indicators, score
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.states import used_range
from disentangle_indicators.verdict import verdict


def perfect(n, d, var, seed=0):
    """A match of the prior: KL(q(z) || p) = 0 and I(x; z_h) = -1/2 log var."""
    mean = np.random.default_rng(seed).normal(size=(n, d)) * math.sqrt(1 - var)
    return mean, np.full((n, d), var)


@pytest.mark.parametrize(("n", "var"), [(50, 1e-8), (200, 1e-6)])
def test_saturated_rows_of_a_perfect_match_show_no_distance(n, var):
    mean, width = perfect(n, 10, var)
    card = score(mean, var=width)
    text = card.verdict["PRIOR"]
    assert text.startswith("q(z) is at most ")
    assert "No distance is seen beyond chance: a perfect match shows" in text
    assert "In 10 latents fewer than ten posteriors overlap" in card.verdict["TRUST"]
    assert card.marginals.total_kl_prior_low < 0.2
    assert np.all(np.isinf(card.marginals.shortfall))
    assert card.marginals.to_dict()["shortfall"] == [None] * 10
    rows = re.findall(r"^ \d+ +(\S+ \S+)", repr(card), re.MULTILINE)
    assert all(cell.startswith("≥ ") for cell in rows)


def test_a_model_of_latent_diffusion():
    """Standard deviation 5.5, KL weight of nearly 0: the distance is that of second moments."""
    mean = 5.5 * np.random.default_rng(0).normal(size=(2000, 4))
    card = score(mean, var=np.full_like(mean, 1e-7))
    text = card.verdict["PRIOR"]
    truth = 2 * (5.5**2 - 1 - 2 * math.log(5.5))
    low = float(re.match(r"q\(z\) is (\S+) to \S+ nats", text)[1])
    assert 0.9 * truth < low <= truth
    assert "because single latents are not N(0, 1) (by second moments)" in text
    assert "Usual for a KL weight far below 1" in card.verdict["DO"]
    assert "My VAE is a plain autoencoder" in card.verdict["DO"]
    assert float(
        re.search(r"scale the codes by (\S+) for latent diffusion", card.verdict["DO"])[1]
    ) == pytest.approx(1 / 5.5, rel=0.02)
    rows = re.findall(r"^ (\d) .* (\S+) +(\S+) +near-det", repr(card), re.MULTILINE)
    for h, sd, factor in rows:
        assert float(sd) == pytest.approx(mean[:, int(h)].std(), rel=1e-3)
        assert float(factor) == pytest.approx(1 / mean[:, int(h)].std(), rel=1e-3)
    assert len(rows) == 4


def test_one_saturated_latent_leaves_the_others_their_marginals():
    """Two modes beside a latent that tells all rows apart: the bound is that of the modes."""
    rng = np.random.default_rng(0)
    mean = np.stack([rng.choice([-0.98, 0.98], 400), rng.normal(size=400)], axis=1)
    var = np.tile([0.04, 1e-9], (400, 1))
    exact = marginals(mean, var)
    assert exact.saturated.tolist() == [False, True]
    assert exact.total_kl_prior > exact.kl_prior[0] + 3
    assert exact.total_kl_prior_low == pytest.approx(exact.kl_prior[0], abs=0.02)
    text = score(mean, var=var).verdict["PRIOR"]
    assert "because single latents are not N(0, 1) (by second moments in 1 of 2)" in text


@pytest.mark.parametrize(("n", "var"), [(200, 0.005), (2000, 1e-3), (2000, 1e-4)])
def test_errors_cover_the_population_below_the_flag(n, var):
    """Each latent is one replication; the plain standard error covers .07 to .8 of them."""
    exact = marginals(*perfect(n, 60, var, seed=n))
    assert not exact.saturated.any()
    gap = np.abs(exact.information + 0.5 * math.log(var))
    assert np.mean(gap <= 1.96 * exact.population_errors["information"]) >= 0.9
    assert np.mean(gap <= 1.96 * exact.standard_errors["information"]) < 0.9


@pytest.mark.parametrize("kind", ["normal", "uniform", "laplace"])
@pytest.mark.parametrize(("n", "var"), [(300, 0.05), (1000, 1e-3)])
def test_the_shortfall_is_what_rows_lack(kind, n, var):
    """I(x; z_h) of a fine grid of quantiles, less that of rows: within 25% or 1e-3 nats."""
    scale = {"normal": 1, "uniform": 12**0.5, "laplace": 0.5**0.5}[kind] * math.sqrt(1 - var)
    low = -0.5 if kind == "uniform" else 0.0
    high = {"high": 0.5} if kind == "uniform" else {}
    rng = np.random.default_rng(0)
    draws = getattr(rng, kind)(low, *high.values(), size=(n, 60)) * scale
    p = (np.arange(100_000) + 0.5) / 100_000
    from scipy import stats

    quantiles = {"normal": stats.norm, "uniform": stats.uniform(-0.5, 1), "laplace": stats.laplace}
    grid = (quantiles[kind].ppf(p) * scale)[:, None]
    truth = marginals(grid, np.full_like(grid, var)).information[0]
    exact = marginals(draws, np.full_like(draws, var))
    lack = truth - exact.information
    error = lack.std() / math.sqrt(60)
    assert abs(lack.mean() - exact.shortfall.mean()) <= max(0.25 * lack.mean(), 1e-3) + 5 * error


def test_the_shortfall_near_the_flag():
    """Where few posteriors overlap: half the chi-square divergence alone is a fifth too low."""
    exact = marginals(*perfect(200, 400, 0.003))
    assert not exact.saturated.any()
    lack = -0.5 * math.log(0.003) - exact.information.mean()
    assert exact.shortfall.mean() == pytest.approx(lack, rel=0.13)


def test_unused_latents_lack_nothing():
    exact = marginals(*perfect(1000, 3, 1.0))
    assert np.all(exact.shortfall == 0)
    weak = marginals(*perfect(1000, 3, 0.9))
    assert np.all(weak.shortfall < 0.2 / 1000)


def test_saturation_and_the_shortfall_count_clusters():
    """Ten copies of 300 rows: what 300 rows lack; two clusters show nothing."""
    mean, var = perfect(300, 3, 0.01)
    copies = np.repeat(mean, 10, axis=0), np.repeat(var, 10, axis=0)
    names = np.repeat(np.arange(300), 10)
    once, ours = marginals(mean, var), marginals(*copies, clusters=names)
    np.testing.assert_allclose(ours.shortfall, once.shortfall, rtol=0.2)
    assert marginals(*copies, clusters=names // 150).saturated.all()
    text = " ".join(repr(marginals(*copies, clusters=names // 150)).split())
    assert "fewer than ten posteriors overlap; rows of one cluster" in text


def test_copies_count_once_without_being_named():
    mean, var = perfect(300, 3, 0.01)
    card = score(np.repeat(mean, 10, axis=0), var=np.repeat(var, 10, axis=0))
    exact, once = card.marginals, marginals(mean, var)
    assert exact.draws == 300
    np.testing.assert_allclose(exact.shortfall, once.shortfall, rtol=0.2)
    text = card.verdict["TRUST"]
    assert "but copies of rows make ± too small" in text
    assert (
        "3000 of 3000 rows repeat the means of another row exactly: there are 300"
        in card.verdict["CHECK"]
    )


def test_rows_of_a_cluster_that_are_independent_lack_what_rows_lack():
    mean, var = perfect(2000, 8, 0.01)
    rows = marginals(mean, var).shortfall.mean()
    ours = marginals(mean, var, clusters=np.arange(2000) % 200).shortfall.mean()
    assert ours == pytest.approx(rows, rel=0.3)


def test_the_range_of_thresholds_is_that_of_the_count():
    """A mean of 4 and 0.6 nats about it: at a threshold of 0.65 one latent is used, not two."""
    rng = np.random.default_rng(0)
    mean = np.stack([4 + rng.normal(size=2000) * 0.9, rng.normal(size=2000) * 0.99], axis=1)
    var = np.tile([0.35, 0.02], (2000, 1))
    found = indicators(mean, var)
    low, high = found.used_range
    assert found.used == 2
    assert (low, high) == (0.0, pytest.approx(0.6, abs=0.05))
    assert indicators(mean, var, threshold=high * 1.001).used == 1
    assert indicators(mean, var, threshold=high * 0.999).used == 2


def test_the_sentence_holds_for_the_exact_information_too():
    """Two modes carry 0.69 nats, and Definition 3 has 1.6: the range ends at 0.69."""
    mean = np.random.default_rng(0).choice([-0.98, 0.98], size=(1000, 1))
    card = score(mean, var=np.full_like(mean, 0.04))
    exact = used_range(card.marginals.information, 0.5)[1]
    assert card.used_range[1] == pytest.approx(1.6, abs=0.02)
    printed = re.search(r"any threshold below (\S+)\.$", card.verdict["USED"])
    assert float(printed[1]) == pytest.approx(exact, abs=1e-3)
    bare = score(mean, var=np.full_like(mean, 0.04), marginals=False).verdict["USED"]
    assert bare.startswith("The latent is used: above 0.5 nats in Definition 3, an upper bound.")


def test_heavy_tails_are_named():
    mean = np.random.default_rng(0).normal(size=(2000, 3))
    mean[:, 1] = np.random.default_rng(1).standard_t(3, size=2000)
    text = verdict(indicators(mean, np.full_like(mean, 0.1)))["TRUST"]
    assert "but heavy tails make ± of latent 1 too small" in text


def test_few_clusters_are_named():
    mean, var = perfect(200, 2, 0.1)
    text = score(mean, var=var, clusters=np.arange(200) // 20).verdict["TRUST"]
    assert "but 10 clusters are too few to estimate ±" in text


@pytest.mark.parametrize("far", [1e6, 1e8, 1e12])
def test_far_from_zero_both_routes_agree(far):
    """Definitions 2 and 6, 3 and 7, 4 and 5: where squares are 1e24, 2.3 to 84 nats were lost."""
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(500, 3)) * max(1.0, far / 1e9) + far, np.full((500, 3), 0.5)
    found = indicators(mean, var)
    wanted = 0.5 * np.sum(np.log(np.mean(mean**2, axis=0)) - math.log(0.5))
    assert found.mutual_information == pytest.approx(wanted, rel=1e-9)
    assert found.mutual_information_via_q_star == pytest.approx(wanted, rel=1e-9)
    assert found.solver_difference < 1e-12


def test_definition_3_is_not_negative_in_single_precision():
    mean = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32) * 1e-3
    found = indicators(mean, np.full((1000, 3), 1e6, np.float32))
    assert np.all(found.mutual_information_per_latent >= 0)
    assert found.mutual_information >= 0


def test_the_bound_of_a_saturated_latent_holds_with_clusters():
    """Ten clusters with most of the variance between them: I(x; z_h) of Gaussians is known."""
    rng, runs, above = np.random.default_rng(0), 200, 0
    truth = 0.5 * math.log(1 + 1.5 / 0.1)
    for _ in range(runs):
        names = np.arange(200) % 10
        between = rng.normal(size=(10, 2))[names] * math.sqrt(0.7)
        mean = math.sqrt(1.5) * (between + rng.normal(size=(200, 2)) * math.sqrt(0.3))
        found = marginals(mean, np.full((200, 2), 0.1), clusters=names)
        assert found.saturated.all()
        above += found.least_information[0] > truth
        assert found.in_words(0) == f"≥ {found.least_information[0]:.3f}"
    assert above / runs <= 0.1 + 5 * math.sqrt(0.09 / runs)
