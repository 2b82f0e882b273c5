"""Calls of the system that fail: the old file is intact, the message names it, nothing is left."""

import shutil
import sys

import pytest
from reliability import faults

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("cc"),
    reason="no C compiler on Linux: failing writes, fsyncs and renames are NOT tested",
)

FEW = ["write .npz", "write .safetensors", "append .npz", "report json", "picture .png", "summary"]


def test_the_first_the_middle_and_the_last_call_of_some_writers(tmp_path):
    found = faults.run(tmp_path, FEW, few=True)
    assert {line["writer"] for line in found} == {*FEW}
    assert all(line["faults"] >= 8 for line in found)
    assert [line for line in found if line["wrong"]] == []


def test_a_write_that_fails_once_within_hdf5(tmp_path):
    pytest.importorskip("h5py", reason="no h5py: its failing writes are NOT tested")
    found = faults.run(tmp_path, ["append .h5ad"], few=True)
    assert [line["wrong"] for line in found] == [[]]


@pytest.mark.slow
def test_every_call_of_the_writers_of_models(tmp_path):
    pytest.importorskip("torch", reason="no torch: failing writes of models are NOT tested")
    names = ["config", "weights", "training state", "history", "measurement"]
    found = faults.run(tmp_path, names, few=True)
    assert {line["writer"] for line in found} == {*names}
    assert [line for line in found if line["wrong"]] == []
