"""What commands write: JSON, CSV, Markdown and pictures."""

import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cli_helpers import FORMS

from dindic import main
from dindic.output import Commands
from disentangle_indicators import score
from disentangle_indicators.report import WRITERS


@pytest.mark.parametrize("form", FORMS)
def test_stdout_and_file_hold_the_same(dindic, good, form):
    on_stdout = dindic("score", good, f"--{form}", "-")
    in_file = dindic("score", good, "--quiet", f"--{form}", "out")
    assert in_file.output == ""
    text = Path("out").read_text(encoding="utf-8")
    assert text.replace("--quiet --json out", "--json -") == on_stdout.stdout
    assert on_stdout.stderr == ""


def test_json_is_strict_and_alone_on_stdout(dindic, npz, pair):
    def refuse(word):
        raise AssertionError(word)

    path = npz(mean=pair[0][:1], var=pair[1][:1])
    found = json.loads(dindic("score", path, "--json", "-").stdout, parse_constant=refuse)
    assert found["schema"] == "dindic.score/1"
    assert found["standard_errors"]["mutual_information"] is None
    assert sorted(found["verdict"]) == ["PRIOR", "TRUST", "USED"]


def test_json_equals_the_library(numbers, good, pair):
    expected = json.loads(score(pair[0], var=pair[1]).to_json())
    found = numbers(good)
    same = set(expected) - {"name", "source", "verdict", "notes", "provenance"}
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert found["verdict"] == expected["verdict"]


def test_csv_has_a_row_per_latent(dindic, good, pair):
    rows = list(csv.DictReader(io.StringIO(dindic("score", good, "--csv", "-").stdout)))
    assert [row["latent"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["state"] for row in rows] == ["used", "used", "weak", "unused"]
    second = (pair[0] ** 2 + pair[1]).mean(axis=0)
    np.testing.assert_allclose([float(row["second_moment"]) for row in rows], second)


def test_markdown_has_whole_tables(dindic, good):
    text = dindic("score", good, "--markdown", "-").stdout
    assert "**USED** 2 of 4" in text
    assert (
        "| latent | I(x; z_h) [nats] | Def 3 [nats] | S | Def 1 [nats] | Var(mean) | state |"
        in text
    )


def test_all_outputs_at_once(dindic, good):
    files = ["a.json", "a.csv", "a.md", "a.png"]
    options = ["--json", "--csv", "--markdown", "--plot"]
    words = [word for both in zip(options, files, strict=True) for word in both]
    result = dindic("score", good, *words)
    assert result.stderr.splitlines() == [f"written: {file}" for file in files]
    assert all(Path(file).stat().st_size > 100 for file in files)
    assert "USED" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_usual_permissions(dindic, good):
    dindic("score", good, "--json", "a.json", "--plot", "a.png", "--quiet")
    usual = stat.S_IMODE(os.stat(good).st_mode)
    assert [oct(stat.S_IMODE(os.stat(p).st_mode)) for p in ("a.json", "a.png")] == [oct(usual)] * 2


def test_plots(dindic, good):
    from matplotlib.image import imread

    for file in ("a.png", "a.svg", "a.pdf"):
        dindic("score", good, "--quiet", "--plot", file)
    assert imread("a.png").std() > 0.01
    assert ET.parse("a.svg").getroot().tag.endswith("svg")
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("target", ["a.bmp", "a", "-", "a.txt"])
def test_pictures_of_another_format(shell, good, target):
    done = shell("score", good, "--quiet", "--plot", target)
    assert done.returncode == 2
    assert "a picture ends in .png, .svg or .pdf" in done.stderr
    assert not Path(target).exists()


@pytest.mark.parametrize("form", [*FORMS, "plot"])
def test_a_folder_that_is_not_there_is_named(shell, good, folder, form):
    done = shell("score", good, "--quiet", f"--{form}", "missing/out.png")
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert "missing/out.png" in done.stderr
    assert ".dindic-" not in done.stderr
    assert [p.name for p in folder.iterdir()] == ["good.npz"]


@pytest.mark.parametrize("form", [*FORMS, "plot"])
def test_a_failed_write_keeps_the_old_file(dindic, good, folder, monkeypatch, form):
    target = "out.png" if form == "plot" else f"out.{form}"
    Path(target).write_text("old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    monkeypatch.setattr(os, "replace", full)
    result = dindic("score", good, "--quiet", f"--{form}", target, code=1)
    assert "No space left on device" in result.stderr
    assert Path(target).read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["good.npz", target]


def test_quiet_says_nothing(dindic, npz, pair):
    assert dindic("score", npz(mean=pair[0]), "--quiet").output == ""


@pytest.mark.parametrize("form", WRITERS)
def test_no_output_overwrites_an_input(dindic, good, form):
    before = Path(good).read_bytes()
    for name in (good, f"./{good}"):
        message = dindic("score", good, f"--{form}", name, code=2).stderr
        assert "would overwrite an input" in message
    assert Path(good).read_bytes() == before
    np.save("factors.npy", np.arange(80.0)[:, None])
    dindic("score", good, "--factors", "factors.npy", f"--{form}", "factors.npy", code=2)
    assert np.load("factors.npy").shape == (80, 1)


@pytest.mark.parametrize(
    ("variables", "width"),
    [({}, 100), ({"COLUMNS": "80"}, 80), ({"COLUMNS": "80", "TERM": "dumb"}, 80)],
)
def test_piped_tables_are_as_wide_as_the_terminal_is_said_to_be(shell, good, variables, width):
    text = shell("score", good, **{"COLUMNS": "", "NO_COLOR": "1"} | variables).stdout
    longest = max(map(len, text.splitlines()))
    assert width - 15 < longest <= width
    assert "\x1b" not in text


@pytest.mark.parametrize("one", WRITERS)
def test_two_outputs_of_one_name_are_refused(dindic, good, folder, one):
    other = "csv" if one == "json" else "json"
    message = dindic("score", good, f"--{one}", "same", f"--{other}", "./same", code=2).stderr
    assert "are both" in message
    assert not Path("same").exists()


NASTY = ["\x1b[31mred\x07", "<script>alert(1)</script>\n| new row |"]


@pytest.fixture
def nasty(npz, pair):
    """A file with factors whose names command a terminal, a browser and a table."""
    factors = np.random.default_rng(0).integers(3, size=(80, 2))
    return npz("n.npz", mean=pair[0], var=pair[1], factors=factors, factor_names=np.array(NASTY))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_cannot_command_a_terminal(dindic, nasty, monkeypatch, terminal):
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    found = dindic("score", nasty, "--no-joint", "--metrics", "mig", "--permutations", "2")
    shown = found.stdout + found.stderr
    assert "\x1b[31mred" not in shown
    assert "\x07" not in shown
    assert "\\x1b[31mred\\x07" in shown


@pytest.mark.parametrize("name", ["\x1b[31m.npz", "no\x07.npz"])
def test_nor_does_an_error(dindic, folder, name):
    message = dindic("score", name, code=2).stderr
    assert repr(name)[1:-1] in message
    assert name not in message


def test_markdown_escapes_names(dindic, nasty):
    words = ("--no-joint", "--metrics", "mig", "--permutations", "2", "--markdown", "-")
    text = dindic("score", nasty, *words).stdout
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\n\\| new row \\|" in text
    assert not [line for line in text.splitlines() if line.startswith("| new row")]


def test_csv_has_no_formulas(dindic, npz, pair):
    names = [npz(f"{sign}1+1.npz", mean=pair[0], var=pair[1]) for sign in ("=", "@")]
    text = dindic("score", *(f"./{name}" for name in names), "--csv", "-").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"][:3] for row in rows] == ["'=1", "'@1"]
    assert float(rows[0]["mutual_information"]) > 0


def test_nor_has_a_header_of_csv(tmp_path):
    """Factors are the columns of some frames, and latents or names their index."""
    frame = pd.DataFrame({"=1+1": ["@x", "y"], "b": [-1.0, 2.0]}, index=["-a", "b"])
    text = WRITERS["csv"](SimpleNamespace(to_frame=lambda: frame.rename_axis("name")))
    assert text.splitlines() == ["name,'=1+1,b", "'-a,'@x,-1.0", "b,y,2.0"]


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_said_and_has_the_exit_code_of_shells(folder, good, number, code):
    """Sent while a file is half written; nothing is left of it."""
    script = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
from contextlib import contextmanager
from disentangle_indicators import report
atomic = report.atomic
@contextmanager
def waiting(path):
    with atomic(path) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        while True:
            signal.pause()
report.atomic = waiting
from dindic import main
main()
"""
    command = [sys.executable, "-c", script, "score", good, "--no-joint", "--json", "out.json"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as run:
        assert run.stdout.readline() == "ready\n"
        assert len(os.listdir()) == 2
        run.send_signal(number)
        said = run.communicate()[1]
    assert run.returncode == code
    assert "stopped by" in said
    assert "Traceback" not in said
    assert os.listdir() == ["good.npz"]


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_ctrl_c_before_the_command_has_its_exit_code_too(monkeypatch):
    def pressed(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Commands, "parse_args", pressed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as end:
            main(["--version"])
        assert end.value.code == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("option", [*WRITERS, "plot"])
def test_a_folder_is_no_output_and_nothing_is_computed(dindic, good, folder, option):
    Path("out.png").mkdir()
    message = dindic("score", good, f"--{option}", "out.png", code=2).stderr
    assert f"--{option} out.png is a folder: name a file in it" in message
    assert sorted(os.listdir()) == ["good.npz", "out.png"]


def test_a_page_and_its_pictures_show_names_without_control_characters(dindic, nasty):
    words = ("--metrics", "mig", "--permutations", "2", "--no-joint", "--html", "page.html")
    dindic("score", nasty, *words, "--quiet")
    text = Path("page.html").read_text()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[31mred\\x07" in text
