"""A part of each row of docs/reliability.md, and the page itself."""

import re
from pathlib import Path

import pytest
from reliability import attempts, readers, rows, versions

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
CHEAP = ("npz", "ours.npz", "safetensors", "npy", "csv", "state.npz")


@pytest.mark.parametrize("kind", CHEAP)
def test_some_mutated_files_are_read_or_refused(kind, tmp_path):
    original = _original(kind, tmp_path)
    raw, expected = original.read_bytes(), readers.content(original, kind)
    path = tmp_path / f"m.{kind}"
    for number in range(1_000_000, 1_000_025):
        path.write_bytes(readers.mutated(raw, [number, len(kind)]))
        assert readers.outcome(path, kind, expected) in ("read", "refused", "other numbers")


def _original(kind, folder):
    return readers.originals(folder, (kind,))[kind]


def test_mutations_are_drawn_from_their_number():
    raw = bytes(range(256)) * 4
    assert readers.mutated(raw, [3, 1]) == readers.mutated(raw, [3, 1])
    assert len({readers.mutated(raw, [number, 1]) for number in range(20)}) > 15


def test_what_is_no_error_of_a_file_is_a_fault(tmp_path, monkeypatch):
    def broken(*_):
        raise IndexError("a bug")

    monkeypatch.setattr(readers, "content", broken)
    assert readers.outcome(tmp_path / "a.npz", "npz", None) == "IndexError: a bug"


def test_numbers_are_those_of_mpmath():
    pytest.importorskip("mpmath")
    found = attempts.numbers()
    assert found["count"] == 240
    assert found["bad"] == []


def test_hostile_names_are_escaped():
    found = attempts.names()
    assert found["count"] > 10
    assert found["bad"] == []


@pytest.mark.parametrize("name", ["npy, a header of 24 TB", "safetensors, a header of 2^60 bytes"])
def test_a_bomb_is_refused(name):
    assert attempts.bomb(name)["bad"] == []


def test_what_pytest_prints_becomes_a_row():
    text = "FAILED tests/a.py::test_b - x\n== 1 failed, 1200 passed, 30 skipped, 2 deselected in 3s =="
    found = versions.of_tests(text)
    assert (found["count"], found["bad"]) == (1201, ["tests/a.py::test_b"])
    assert found["outcome"] == "1,200 passed, 30 skipped, without torch"


def test_every_row_is_on_the_page():
    text = PAGE.read_text()
    for key in rows.ROWS:
        section, _, name = key.partition(": ")
        assert f"\n## {section}\n" in text
        assert f"\n| {name} |" in text
    for fault in rows.OPEN:
        assert fault in text


def test_no_row_with_faults_is_without_a_reason():
    bold = re.findall(r"^\| ([^|]+?) \|.*\| \*\*\d+\*\* \|", PAGE.read_text(), re.MULTILINE)
    reasons = " ".join(rows.OPEN)
    assert [name for name in bold if f"`{name}`" not in reasons] == []
