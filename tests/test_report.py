"""Reports as files: whole or not at all."""

import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest

from disentangle_indicators import score
from disentangle_indicators.comparison import compare
from disentangle_indicators.report import WRITERS, write


def card(name="run", n=40, d=3):
    rng = np.random.default_rng(0)
    return score(rng.normal(size=(n, d)), var=rng.uniform(0.1, 1, (n, d)), name=name)


RESULTS = {
    "scorecard": card,
    "one sample": lambda: card(n=1),
    "means": lambda: score(np.eye(3), name="means"),
    "comparison": lambda: compare([card("a"), card("b")]),
    "mixed": lambda: compare([card("a"), score(np.eye(3), name="b")]),
    "indicators": lambda: card().result,
    "q_star": lambda: card().q_star,
}


def test_formats():
    assert list(WRITERS) == ["json", "csv", "markdown", "latex", "html"]


@pytest.mark.parametrize("form", [form for form in WRITERS if form != "html"])
@pytest.mark.parametrize("kind", RESULTS)
def test_every_result_in_every_format(tmp_path, kind, form):
    result = RESULTS[kind]()
    path = write(result, tmp_path / "out", form)
    assert path == tmp_path / "out"
    text = path.read_text(encoding="utf-8")
    assert text == WRITERS[form](result)
    assert text.endswith("\n")
    assert not re.search(r"\b(nan|NaN|Infinity)\b", text)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_json_is_the_dict(tmp_path):
    path = write(card(), str(tmp_path / "a.json"), "json")
    assert json.loads(path.read_text()) == card().to_dict()


def test_csv_is_the_frame(tmp_path):
    import pandas as pd

    path = write(card(), tmp_path / "a.csv", "csv")
    pd.testing.assert_frame_equal(
        pd.read_csv(path, index_col="latent"), card().to_frame(), rtol=1e-12
    )


def test_csv_of_a_comparison_has_no_column_without_a_name(tmp_path):
    path = write(RESULTS["comparison"](), tmp_path / "a.csv", "csv")
    header = path.read_text().splitlines()[0].split(",")
    assert "" not in header
    assert header[0] == "name"


def cells(line):
    return re.split(r"(?<!\\)\|", line)[1:-1]


@pytest.mark.parametrize("kind", ["scorecard", "means", "comparison", "mixed"])
def test_markdown_tables_are_whole(kind):
    blocks = WRITERS["markdown"](RESULTS[kind]()).split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert tables
    for head, rule, *rows in tables:
        assert rows
        assert set(cells(rule)) == {" --- "}
        assert {len(cells(line)) for line in (rule, *rows)} == {len(cells(head))}


def test_markdown_escapes_pipes():
    text = WRITERS["markdown"](compare([card("a|b"), card("c")]))
    names = [cells(line)[0].strip() for line in text.splitlines() if line.startswith("| ")]
    assert "a\\|b" in names
    assert "c" in names


def test_a_file_is_replaced(tmp_path):
    (tmp_path / "a.json").write_text("old and longer " * 10_000)
    write(card(), tmp_path / "a.json", "json")
    assert json.loads((tmp_path / "a.json").read_text())["name"] == "run"


def _full(*args, **kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["replace", "write", "text", "interrupt"])
@pytest.mark.parametrize("old", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, step, old):
    target = tmp_path / "a.json"
    if old:
        target.write_text("old")
    expected = OSError
    if step == "replace":
        monkeypatch.setattr(Path, "replace", _full)
        monkeypatch.setattr(os, "replace", _full)
    elif step == "write":
        monkeypatch.setattr(os, "fdopen", _full)
        monkeypatch.setattr("builtins.open", _full)
        monkeypatch.setattr(Path, "open", _full)
        monkeypatch.setattr(Path, "write_text", _full)
    elif step == "text":
        expected = ZeroDivisionError
        monkeypatch.setitem(WRITERS, "json", lambda result: str(1 / 0))
    else:
        expected = KeyboardInterrupt

        def stop(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", stop)
        monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(expected):
        write(card(), target, "json")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == (["a.json"] if old else [])
    assert not old or target.read_text() == "old"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="missing"):
        write(card(), tmp_path / "missing" / "a.json", "json")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = write(card(), tmp_path / "a.json", "json")
    finally:
        os.umask(before)
    assert oct(stat.S_IMODE(path.stat().st_mode)) == oct(0o666 & ~mask)
