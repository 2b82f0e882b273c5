"""What runs make of the paper's claims, on runs whose answer is known."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models.claims import claims
from dindic_models.grids import LEARNED, SPECIFIED
from dindic_models.objective import convention_gap

D = 784


def grid(law, sigma2=0.01, shift=None, seed=0):
    """Runs whose columns are functions of the normalised variance alone, but for a shift."""
    rows = {
        f"fixed_sigma2_{s:g}": {"noise": "fixed", "beta": 1.0, "seed": seed, **law(s)}
        for s in SPECIFIED
    }
    for beta in LEARNED:
        own = law(beta * sigma2)
        own["evlb"] = own["evlb_at_normalised_variance"] + convention_gap(D, beta)
        own |= {key: value + shift[key] for key, value in own.items() if key in (shift or {})}
        rows[f"learned_beta_{beta:g}"] = {
            "noise": "learned",
            "beta": float(beta),
            "seed": seed,
            **own,
        }
    return rows


def law(s):
    """Linear in log s, so that interpolation between runs is exact."""
    x = np.log(s)
    return {
        "normalised_variance": s,
        "squared_error": 1 + 0.1 * x,
        "evlb": -100 * x,
        "evlb_at_normalised_variance": -100 * x,
        "mutual_information": 50 - 5 * x,
        "kl_aggregate_prior": 10 - x,
        "used": 20 - 3 * x,
        "normal_variance": 100,
        "normal_variance_used": 30,
    }


def latents(rows, third):
    return {name: {"mutual_information_per_latent": np.asarray(third)} for name in rows}


def found(rows, third=(0.01, 0.2, 3.0, 2.0)):
    return {claim.where: claim for claim in claims(rows, latents(rows, third))}


def numbers(claim):
    return [float(x) for x in re.findall(r"[-+]?\d+\.?\d*", claim.measured)]


@given(sigma2=st.floats(0.001, 0.05))
def test_models_that_are_the_same_at_the_same_variance_differ_by_convention_alone(sigma2):
    said = found(grid(law, sigma2))
    inside = [b for b in LEARNED if min(SPECIFIED) <= b * sigma2 <= max(SPECIFIED)]
    *printed, same_low, same_high = numbers(said["Fig. 4"])[:4]
    gaps = [convention_gap(D, b) for b in inside]
    assert printed == pytest.approx([min(gaps), max(gaps)], abs=0.51)
    assert abs(same_low) <= 0.5
    assert abs(same_high) <= 0.5 or len(inside) == 1
    assert "1.00, median 1.00" in said["Fig. 5a"].measured
    assert "1.00, median 1.00" in said["Fig. 6a"].measured
    assert numbers(said["Fig. 6b"])[0] == pytest.approx(0, abs=0.051)
    assert f"({len(inside)} learned runs)" in said["Fig. 6b"].measured


def test_a_difference_is_measured():
    said = found(grid(law, shift={"evlb_at_normalised_variance": 30.0, "used": -4.0}))
    assert "+30 in one convention" in said["Fig. 4"].measured
    assert "-4.0, median -4.0" in said["Fig. 6b"].measured


def test_trends_are_rank_correlations():
    rows = grid(law)
    both = [claim for claim in claims(rows, latents(rows, [1.0])) if claim.where == "8.1.1"]
    assert [numbers(claim)[0] for claim in both] == [1, -1]
    for row in rows.values():
        row["squared_error"] = -row["squared_error"]
    flipped = claims(rows, latents(rows, [1.0]))
    assert numbers(flipped[0])[0] == -1
    assert numbers(found(rows)["D.1"])[0] == 1


def test_what_is_counted():
    rows = grid(law)
    said = found(rows)
    assert "2450 of the 3500 latents" in said["Fig. 5b"].measured
    assert said["8.1.2"].measured == "35 of 140 latents lie between 0.1 and 0.5 nats, 70 above"
    spread = f"{np.std([3, 2], ddof=1):.2f} (of 2)"
    assert said["Fig. 16"].measured.count(spread) == 2


def test_runs_that_are_not_there_are_not_spoken_of():
    rows = grid(law)
    assert claims({}, {}) == []
    fixed = {name: row for name, row in rows.items() if row["noise"] == "fixed"}
    assert set(found(fixed)) == {"D.1", "Fig. 5b", "8.1.2"}
    learned = {name: row for name, row in rows.items() if row["noise"] == "learned"}
    assert set(found(learned)) == {"8.1.1", "D.1", "Fig. 5b", "8.1.2"}
    two = dict(list(learned.items())[:2])
    assert found(two) == {}
    other = {name: row | {"noise": "mog"} for name, row in rows.items()}
    assert "Fig. 4" not in found(other)


def test_learned_runs_beyond_the_specified_ones_are_left_out():
    assert "Fig. 4" not in found(grid(law, sigma2=10.0))


def test_constant_columns_have_no_trend():
    rows = grid(lambda s: law(s) | {"squared_error": 1.0, "kl_aggregate_prior": 0.5})
    assert "not defined" in found(rows)["D.1"].measured


def test_too_few_used_latents_have_no_spread():
    assert found(grid(law), third=(0.1, 3.0))["Fig. 16"].measured.count("no spread") == 2


def test_a_learned_run_is_compared_with_specified_ones_of_its_seed():
    """Runs of another seed have the same variances, and other numbers."""
    rows = grid(law)
    others = grid(
        lambda s: law(s) | {"mutual_information": 100 * law(s)["mutual_information"]}, seed=1
    )
    both = rows | {f"{name}_seed_1": row for name, row in others.items()}
    for order in (both, dict(reversed(both.items()))):
        assert "1.00, median 1.00" in found(order)["Fig. 6a"].measured
    missing = {name: row for name, row in both.items() if row["noise"] == "learned" or row["seed"]}
    runs = [b for b in LEARNED if min(SPECIFIED) <= b * 0.01 <= max(SPECIFIED)]
    assert f"({len(runs)} learned runs)" in found(missing)["Fig. 6a"].measured
