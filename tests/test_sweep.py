"""Encoders against a setting: averages, errors over seeds, where settings come from."""

import json

import numpy as np
import pytest

from disentangle_indicators import Encodings, score
from disentangle_indicators.comparison import compare, saved_report, sweep
from disentangle_indicators.plots import rate_distortion

BETAS = (1.0, 4.0, 16.0)


def encoder(beta, seed, n=200, d=3):
    """Encodings of width beta / 20; their metadata have beta and the seed."""
    rng = np.random.default_rng([int(beta), seed])
    name = f"runs/beta{beta:g}_seed{seed}.npz"
    made = Encodings.of(rng.normal(size=(n, d)), np.full((n, d), beta / 20), name=name)
    return made.replaced(metadata={"beta": f"{beta:g}", "distortion": f"{0.01 * beta}"})


@pytest.fixture(scope="module")
def cards():
    return [score(encoder(b, s), joint=False) for b in BETAS for s in range(3)]


def test_averages_and_errors_over_seeds(cards):
    found = sweep(compare(cards), "beta", group="seed")
    assert found.x.tolist() == [1, 4, 16]
    assert found.counts == (3, 3, 3)
    for k in range(3):
        values = [card.kl_posterior_prior for card in cards[3 * k : 3 * k + 3]]
        assert found.means["kl_posterior_prior"][k] == pytest.approx(np.mean(values))
        wanted = np.std(values, ddof=1) / np.sqrt(3)
        assert found.errors["kl_posterior_prior"][k] == pytest.approx(wanted)
    assert "9 encoders at 3 values of beta, 3 each." in found.sentence
    assert found.means["information"] == pytest.approx(
        [
            np.mean([c.marginals.total_information for c in cards[3 * k : 3 * k + 3]])
            for k in range(3)
        ]
    )


def test_the_order_of_encoders_changes_nothing(cards):
    one, two = (sweep(compare(c), "beta", group="seed") for c in (cards, cards[::-1]))
    for name in one.means:
        assert two.means[name] == pytest.approx(one.means[name], nan_ok=True)


def test_one_encoder_of_a_setting_has_the_error_of_its_rows(cards):
    found = sweep(compare(cards[::3]), "beta")
    errors = [card.standard_errors["mutual_information"] for card in cards[::3]]
    assert found.errors["mutual_information"] == pytest.approx(errors)


def test_settings_come_from_metadata_names_tables_and_saved_reports(cards, tmp_path):
    paths = []
    for card in cards:
        path = tmp_path / card.name.replace("runs/", "").replace(".npz", ".json")
        path.write_text(card.to_json())
        paths.append(path)
    saved = [saved_report(path) for path in paths]
    wanted = sweep(compare(cards), "beta", group="seed")
    assert saved[0]["metadata"]["beta"] == "1"
    found = sweep(compare(saved), "beta", group="seed")
    assert found.means["mutual_information"] == pytest.approx(wanted.means["mutual_information"])
    without = [{**report, "metadata": {}} for report in saved]
    assert sweep(compare(without), "beta", group="seed").x.tolist() == [1, 4, 16]
    lines = [f"{path.name},{k // 3 + 10},{k % 3}" for k, path in enumerate(paths)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["file,beta,seed", *lines]))
    found = sweep(compare(saved), "beta", group="seed", settings=table)
    assert found.x.tolist() == [10, 11, 12]
    table.write_text("file,beta\n")
    with pytest.raises(ValueError, match="there is no column 'file'"):
        sweep(compare(saved), "beta", settings=table)


def test_what_cannot_be_a_sweep_is_refused(cards):
    compared = compare(cards[:2])
    with pytest.raises(ValueError, match="there is no gamma in its metadata or its name"):
        sweep(compared, "gamma")
    with pytest.raises(ValueError, match="x must be a number; got 'high'"):
        sweep(compared, ["high", "low"])
    with pytest.raises(ValueError, match="x must have one value per encoder, 2; got 3"):
        sweep(compared, [1, 2, 3])
    with pytest.raises(ValueError, match="are the same setting and group"):
        sweep(compare([cards[0], cards[0]]), "beta", group="seed")


def test_a_bend_is_a_candidate_and_a_line_has_none(cards):
    mean = np.random.default_rng(0).normal(size=(100, 1))
    widths = {1: 1e-3, 2: 0.05, 3: 0.06, 4: 0.07}
    bent = compare([score(mean, std=w, joint=False) for w in widths.values()])
    found = sweep(bent, list(widths))
    assert found.elbow == 2
    assert "no recommendation" in found.sentence
    straight = compare([score(mean, std=np.exp(-k), joint=False) for k in range(4)])
    assert sweep(straight, np.exp(range(4))).elbow is None
    assert sweep(compare(cards[:2]), [1, 2]).elbow is None


def test_distortion_of_the_metadata_makes_a_curve(cards):
    found = sweep(compare(cards), "beta", group="seed")
    assert found.means["distortion"] == pytest.approx([0.01, 0.04, 0.16])
    assert found.elbow_of in ("", "The rate against the distortion")
    assert len(rate_distortion(found).texts) == 3
    content = json.loads(found.to_json())
    assert content["schema"] == "dindic.sweep/1"
    assert content["x"] == [1, 4, 16]
    assert list(found.to_frame().columns[:2]) == ["beta", "encoders"]
    assert "± one standard error over the encoders of one beta" in " ".join(repr(found).split())


@pytest.mark.parametrize("value", ["lots", "nan", "inf", ""])
def test_a_distortion_that_is_no_number_names_its_file(value):
    made = [encoder(beta, 0) for beta in BETAS]
    made[1] = made[1].replaced(metadata={"beta": "4", "distortion": value})
    message = f"runs/beta4_seed0.npz: distortion must be a number; got '{value}'"
    with pytest.raises(ValueError, match=message):
        sweep(compare([score(each, joint=False, marginals=False) for each in made]), "beta")
