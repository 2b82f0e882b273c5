"""Scores of a code alone: what independent latents score, by simulation."""

import numpy as np
import pytest

from disentangle_indicators import Encodings
from disentangle_indicators.unsupervised import UNSUPERVISED, code_scores

SCALES = np.array([1.0, 2.0, 0.3, 5.0])


@pytest.mark.parametrize("n", [30, 200])
def test_chance_is_the_mean_score_of_independent_latents(n):
    """Over 400 draws, to 5 standard errors; and 5% where it is an expansion in 1 / n."""
    rng = np.random.default_rng(0)
    drawn = [SCALES * rng.normal(size=(n, 4)) for _ in range(400)]
    found = [code_scores(Encodings.of(z), range(4)) for z in drawn]
    for name in UNSUPERVISED:
        scores = np.array([each.scores[name] for each in found])
        chance = np.mean([each.chance[name] for each in found])
        error = np.std(scores) / 20
        expansion = 0.05 if name.startswith("gaussian_wasserstein") else 0.0
        assert abs(np.mean(scores) - chance) < 5 * error + expansion * chance
        assert chance > 5 * error


def test_chance_of_clusters_is_that_of_fewer_rows():
    rng = np.random.default_rng(0)
    z = np.repeat(SCALES * rng.normal(size=(100, 4)), 8, axis=0)
    clusters = np.arange(800) // 8
    one = code_scores(Encodings.of(z, clusters=clusters), range(4)).chance
    other = code_scores(Encodings.of(z[::8]), range(4)).chance
    for name in ("gaussian_total_correlation_of_codes", "gaussian_wasserstein_correlation"):
        assert one[name] == pytest.approx(other[name], rel=1e-9)
    assert one["mutual_info_score"] == pytest.approx(other["mutual_info_score"], rel=0.5)


def test_the_table_prints_chance_beside_the_score():
    z = np.random.default_rng(0).normal(size=(500, 3))
    found = code_scores(Encodings.of(z), range(3))
    assert found.scores["mutual_info_score"] == pytest.approx(0.43, abs=0.03)
    assert found.chance["mutual_info_score"] == pytest.approx(0.43, abs=0.01)
    text = str(found)
    assert "dependence of these codes" in text
    assert f"{found.chance['mutual_info_score']:.2g}" in text


def test_constant_and_few_rows():
    still = code_scores(Encodings.of(np.ones((5, 2))), range(2))
    assert set(still.chance) <= set(still.scores)
    few = code_scores(Encodings.of(np.random.default_rng(0).normal(size=(3, 5))), range(5))
    assert "gaussian_total_correlation_of_codes" not in few.chance
