"""The examples run from any folder and print what is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = EXAMPLES / "data" / "mnist_vae.npz"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def output(name, folder, **variables):
    """Run an example in an empty folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", EXAMPLES / name],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"} | variables,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.fixture
def empty(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_all_examples_are_here():
    names = [script.name for script in SCRIPTS]
    assert names == [
        "compare_models.py",
        "in_training.py",
        "minibatch_estimators.py",
        "paper_noise.py",
        "paper_theory.py",
        "rotation_tables.py",
        "score_arrays.py",
        "shards.py",
        "train_and_score.py",
    ]
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"[{name}]({name})" not in listed] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_examples_are_short(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith('"""')
    assert lines[0].endswith('."""')


def test_score_arrays(empty):
    text = output("score_arrays.py", empty)
    assert text.startswith("MNIST test images\n")
    assert "USED  All 10 latents are used" in text
    assert "Definition 2: 19.319 ± 0.038 nats" in text
    with np.load(DATA) as data:
        mean, logvar = data["mu"].astype(float), data["logvar"].astype(float)
    second = (mean**2 + np.exp(logvar)).mean(axis=0)
    best = int(np.argmax(np.log(second) - logvar.mean(axis=0)))
    assert f"The most informative latent is number {best}." in text


def test_compare_models(empty):
    text = output("compare_models.py", empty)
    assert "each row minus encoder 'first'; " in " ".join(text.split())
    assert "paired over rows" in text
    pattern = r"falls by ([\d.]+) nats, ± ([\d.]+) when the rows are paired and ± ([\d.]+) when"
    fall, paired, apart = map(float, re.search(pattern, text).groups())
    with np.load(DATA) as data:
        mean, var = data["mu"].astype(float), np.exp(data["logvar"].astype(float))
    influence = []
    total = []
    for v in (var, var + 0.05):
        u = mean**2 + v
        total.append(0.5 * np.sum(np.log(u.mean(axis=0)) - np.log(v).mean(axis=0)))
        influence.append(0.5 * np.sum(u / u.mean(axis=0) - np.log(v), axis=1))
    assert fall == pytest.approx(total[0] - total[1], abs=2e-3)
    error = np.std(influence[1] - influence[0], ddof=1) / np.sqrt(len(mean))
    assert paired == pytest.approx(error, abs=1e-4)
    assert apart == pytest.approx(
        np.hypot(*(np.std(i, ddof=1) for i in influence)) / np.sqrt(len(mean)), abs=1e-4
    )


def test_in_training(empty):
    pytest.importorskip("torch")
    text = output("in_training.py", empty)
    rates = re.findall(r"epoch +(\d+): val/kl_posterior_prior = ([\d.]+)", text)
    assert [int(epoch) for epoch, _ in rates] == [5, 10, 15, 20]
    assert all(1 < float(rate) < 20 for _, rate in rates)
    assert float(rates[-1][1]) < float(rates[0][1])
    assert "2 of 4 latents are used; the data have 2 sources." in text


def test_in_training_without_torch(empty, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    text = output("in_training.py", empty, PYTHONPATH=str(tmp_path))
    assert text.startswith("Skipped: this example needs torch")
    assert "epoch" not in text


def test_shards(empty):
    text = output("shards.py", empty)
    assert "40000 rows in 8 shards" in text
    information = float(re.search(r"information\): ([\d.]+) nats", text)[1])
    assert information == pytest.approx(-0.5 * np.log(0.05 * 0.2), abs=0.01)
    second = [float(x) for x in re.search(r"\[(.*)\]", text)[1].split()]
    np.testing.assert_allclose(second, 1, atol=0.02)
    assert output("shards.py", empty) == text


def test_train_and_score(empty):
    pytest.importorskip("torch")
    text = output("train_and_score.py", empty)
    trained, optimum = (
        np.array(line.split(": ")[1].split()[:-1], float) for line in text.splitlines()[:2]
    )
    ideal = 0.5 * np.log(12 * np.array([0.9, 0.6, 0.4]) ** 2 / 12 / 0.01)  # bars of 12 pixels
    np.testing.assert_allclose(optimum, [*ideal, 0, 0], atol=0.03)
    np.testing.assert_allclose(trained, optimum, atol=0.12)
    assert "3 of 5 latents are used; the images have 3 sources." in text


def test_train_and_score_without_torch(empty, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    text = output("train_and_score.py", empty, PYTHONPATH=str(tmp_path))
    assert text.startswith("Skipped: this example needs torch")
    assert "Definition" not in text


@pytest.fixture(scope="module")
def minibatch(tmp_path_factory):
    """Return the table: name of the encoder, then estimator, to its numbers; and the last line."""
    text = output("minibatch_estimators.py", tmp_path_factory.mktemp("empty"))
    table = {}
    for line in text.splitlines()[1:-2]:
        label, *numbers = re.split(r"\s{2,}| ± ", line.strip())
        if label.endswith("joint()"):
            name, label = label.split(", ")
        table[name, label] = [float(x) for x in numbers]
    assert len(table) == 3 * (1 + 4)
    return table, [float(x) for x in re.findall(r"\d+\.\d+", text.splitlines()[-1])]


MINIBATCH = [(kind, f"{kind}, batch of {b}") for kind in ("MWS", "MSS") for b in (64, 256)]


def test_minibatch_estimators_of_a_collapsed_encoder(minibatch):
    table, (log_n, *_) = minibatch
    assert log_n == pytest.approx(np.log(4000), abs=5e-4)
    assert table["collapsed", "joint()"] == [0, 0]
    for kind, label in MINIBATCH:
        # all weights of MWS sum to 1 / n, so that each estimate of a density is off by that factor
        offset = np.log(4000) if kind == "MWS" else 0
        i, tc, ratio, error = table["collapsed", label]
        assert i == pytest.approx(offset, abs=6e-4)
        assert tc == pytest.approx(4 * offset, abs=6e-4)
        assert ratio == pytest.approx(np.exp(-offset), abs=6e-6)
        assert error == 0


@pytest.mark.parametrize("name", ["Gaussian", "MNIST"])
def test_only_mss_is_unbiased_for_the_density(minibatch, name):
    for kind, label in MINIBATCH:
        _, _, ratio, error = minibatch[0][name, label]
        assert (abs(ratio - 1) < 4 * error) == (kind == "MSS")


def test_no_minibatch_estimate_is_near_the_known_value(minibatch):
    table, (_, information, correlation) = minibatch
    variance = np.linalg.det(0.5 + 0.5 * np.eye(5))
    assert information == pytest.approx(0.5 * np.log(variance / 0.2**5), abs=6e-4)
    assert correlation == pytest.approx(-0.5 * np.log(variance), abs=6e-4)
    # The Monte Carlo error is 0.02, the spread between samples of 4000 rows 0.02, and the bias of
    # so many rows is 0.02 as well.
    assert table["Gaussian", "joint()"] == pytest.approx([information, correlation], abs=0.08)
    for name in ("Gaussian", "MNIST"):
        i, tc = table[name, "joint()"]
        for kind, label in MINIBATCH:
            assert table[name, label][0] > i + (3 if kind == "MWS" else 0)
            if kind == "MWS":
                assert table[name, label][1] > tc + 20
    small, large = (table["Gaussian", f"MSS, batch of {b}"] for b in (64, 256))
    assert small[0] > large[0] + 0.1 > information + 0.1
    assert small[1] < large[1] - 0.1 < correlation - 0.1
    assert table["MNIST", "joint()"][0] < np.log(4000)  # the rows of one finite mixture


def test_rotation_tables(empty):
    text = output("rotation_tables.py", empty)
    rows = [[float(x) for x in re.findall(r"[\d.]+", line)] for line in text.splitlines()]
    law = {int(row[0]): row[1:] for row in rows[2:8]}
    assert list(law) == [2, 3, 4, 8, 16, 32]
    assert law[2] == [1.0] * 9 + [0.0, 1]
    for d, (*accuracies, instability, needed) in law.items():
        mean, low, high = np.reshape(accuracies, (3, 3)).T
        assert np.all((1 / d < low) & (low <= mean) & (mean <= high) & (high <= 1))
        assert np.all(np.diff(mean) >= 0)  # more pairs never hurt
        assert instability == pytest.approx((1 - mean[1]) / (1 - 1 / d), abs=1.1e-3)
        assert (needed <= 64) == (mean[1] >= 0.95)
    assert law[8][3:6] == pytest.approx([0.827, 0.737, 0.908], abs=0.01)
    angles = {int(row[0]): row[1:] for row in rows[10:]}
    assert angles[45] == [0.5, 0.5]
    assert [clean for degrees, (clean, _) in angles.items() if degrees < 45] == [1] * 5
    # with noise, as simulated with 15,000 points and scikit-learn's classifier
    noisy = [angles[degrees][1] for degrees in (20, 35, 40, 43)]
    assert noisy == pytest.approx([1, 0.975, 0.84, 0.655], abs=0.02)


def test_the_data_are_as_described():
    text = (EXAMPLES / "data" / "README.md").read_text(encoding="utf-8")
    for word in ("LeCun", "CC BY-SA 3.0", "YannDubs/disentangling-vae", "MIT", "32 x 32"):
        assert word in text
    rows = re.findall(r"^\| `(\w+)` \| (\(.*?\)) \| ([<\w]+) \|", text, re.MULTILINE)
    found = []
    for path in (DATA, DATA.with_name("dsprites_btcvae.npz")):
        assert f"`{path.name}`" in text
        with np.load(path, allow_pickle=False) as data:
            found += [(key, str(data[key].shape), str(data[key].dtype)) for key in data.files]
    assert rows == found
    with np.load(DATA, allow_pickle=False) as data:
        assert sorted(set(data["labels"].tolist())) == list(range(10))


def numbers(text, pattern):
    return [
        float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]\d+)?", re.search(pattern, text)[1])
    ]


def test_paper_theory(empty):
    text = output("paper_theory.py", empty)
    width = 1e-4  # of the posteriors; two latents hold one factor
    one = -0.5 * np.log(width)
    bound = 0.5 * np.log(1 + 2 * (1 - width) / width)
    shown = numbers(text, r"(I\(x; z_h\)[^;]*;[^)]*\) at most .*)")
    assert shown == pytest.approx([2 * one, bound], abs=0.05)
    assert numbers(text, r"(difference .*)")[0] < 1e-9
    peaks = numbers(text, r"Definition 4 is ([\d.]+)") + numbers(text, r"supervise, ([\d.]+)")
    entropy = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 1e-3)
    assert peaks == pytest.approx([0, 0.5 * np.log(2 * np.pi) + 0.5 - entropy], abs=6e-3)
    assert numbers(text, r"correlation ([^,]+),") == [0]
    assert numbers(text, r"squares (.+)") == pytest.approx([-3 / 7], abs=0.01)
    assert numbers(text, r"the bound ([\d.]+)")[0] > 0
    drawn, printed, corrected = (
        np.array(numbers(text, pattern))
        for pattern in (r"drawn \[(.*?)\]", r"printed \[(.*?)\]", r"corrected \[(.*?)\]")
    )
    np.testing.assert_allclose(drawn, corrected, atol=5e-3)
    assert np.abs(drawn - printed).max() > 0.1


def test_paper_noise(empty):
    pytest.importorskip("torch")
    text = output("paper_noise.py", empty)
    assert numbers(text, r"ratio ([\d.]+)") == [4]
    assert numbers(text, r"cosine ([\d.]+)") == [1]
    assert numbers(text, r"as printed ([\d.]+)\n")[0] < 0.99
    assert numbers(text, r": ([\d.]+) nats apart") == pytest.approx(
        [392 * (0.1 - 1 + np.log(10))], abs=0.05
    )
    assert numbers(text, r"mixture: \[(.*?)\]") == pytest.approx([0.7, 0.3], abs=0.03)
    assert numbers(text, r"mixture: .*printed \[(.*?)\]") == [0.5, 0.5]
    assert 20 < numbers(text, r"in (\d+) of 99")[0] < 80


def test_paper_noise_without_torch(empty, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    text = output("paper_noise.py", empty, PYTHONPATH=str(tmp_path))
    assert text.startswith("Skipped: this example needs torch")
    assert "mixture" not in text
