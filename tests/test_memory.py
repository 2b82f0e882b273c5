"""The bound on memory: what is above it is refused before it is made, and the rest stays within."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from disentangle_indicators import _memory, max_memory, read_encodings, score
from disentangle_indicators._memory import PROGRAM, check_room, room


@pytest.fixture
def tight(monkeypatch):
    """Leave a megabyte for arrays."""
    monkeypatch.setattr(_memory, "PROGRAM", 499_000_000)
    with max_memory("0.5GB"):
        yield


def encodings(path, n=10_000, d=8, order="C", save=np.savez):
    mean = np.random.default_rng(0).normal(size=(n, d))
    save(path, mean=np.asarray(mean, order=order), logvar=np.full((n, d), -1.0, order=order))
    return path


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("4GB", 4e9),
        ("500 MB", 5e8),
        ("1gib", 2**30),
        (7e8, 7e8),
        (1e16, 1e16),
        (np.float32(2**30), 2**30),
        ("8e8", None),
    ],
)
def test_sizes(size, count):
    if count is None:
        with pytest.raises(ValueError, match="such as 4GB; got '8e8'"), max_memory(size):
            raise AssertionError
        return
    with max_memory(size):
        assert room() == count - PROGRAM
    assert room() == float("inf")


@pytest.mark.parametrize("size", ["", "4 apples", "GB", "1.2.3GB", "0.4GB", "-4GB", "nan", 0])
def test_what_is_no_size(size):
    with pytest.raises(ValueError, match="max_memory must be at least 0.5GB"), max_memory(size):
        raise AssertionError


def test_the_bound_that_a_message_names_is_enough():
    with max_memory("1GB"), pytest.raises(MemoryError, match=r"max_memory='1\.7GB'"):
        check_room(1_234_567_890, "an array")
    with max_memory("1.7GB"):
        check_room(1_234_567_890, "an array")


@pytest.mark.usefixtures("tight")
def test_rows_are_streamed_and_not_held(tmp_path):
    found = read_encodings(encodings(tmp_path / "a.npz"))
    assert sum(len(mean) for mean, _ in found.batches(100)) == found.n
    with pytest.raises(
        MemoryError, match=r"a\.npz: holding 10000 rows of 8 latents: about 0\.0013 GB"
    ):
        found.mean  # noqa: B018
    with pytest.raises(MemoryError, match="holding 10000 rows"):
        found.as_stored()


@pytest.mark.usefixtures("tight")
def test_an_array_that_is_held_whole(tmp_path):
    path = encodings(tmp_path / "a.npz", n=20_000, order="F", save=np.savez_compressed)
    with pytest.raises(MemoryError, match=r"a\.npz: 'mean' is held whole.*; save it as \.safe"):
        read_encodings(path)


@pytest.mark.usefixtures("tight")
def test_sections_are_left_out_or_refused():
    mean = np.random.default_rng(0).normal(size=(3000, 130))
    found = {"mean": mean, "var": np.full(mean.shape, 0.5)}
    reasons = score(**found).reasons
    assert reasons.keys() == {"covariance", "joint", "marginals"}
    assert all("it needs max_memory='0.6GB'" in reason for reason in reasons.values())
    for section, match in {
        "marginals": "the marginals of 3000 rows.*; give marginals=False, or",
        "joint": "the joint of 3000 rows.*; give joint=False, or",
        "certify": "the certificate of 3000 rows.*; leave out certify=True, or",
        "covariance": "the covariance of 130 latents.*; leave out covariance=True, or",
    }.items():
        with pytest.raises(MemoryError, match=match):
            score(**found, **{section: True})


def test_the_bound_changes_no_number_and_holds(tmp_path):
    # getrusage has the peak of the process that started this one; the status begins anew.
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("no /proc here: the peak is NOT measured")
    file = encodings(tmp_path / "a.npz", n=100_000, d=16)
    code = (
        "import re, sys\n"
        "from disentangle_indicators import max_memory, score\n"
        "with max_memory('0.5GB'):\n"
        "    card = score(sys.argv[1], joint=False, marginals=False)\n"
        f"peak = re.search(r'VmHWM:\\s*(\\d+)', open('{status}').read())[1]\n"
        "print(card.mutual_information, peak)"
    )
    command = [sys.executable, "-c", code, str(file)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    value, peak = done.stdout.split()
    assert float(value) == score(file, joint=False, marginals=False).mutual_information
    assert int(peak) * 1024 < 5e8
