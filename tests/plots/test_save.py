"""save: whole pictures or none, and nothing else is touched."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from disentangle_indicators import score
from disentangle_indicators.plots import pulse, save


def card():
    return score(np.eye(3), var=np.full((3, 3), 0.5))


def test_an_axes_saves_the_whole_figure(tmp_path):
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    right.subplots()
    picture = save(figure, tmp_path / "figure.png").read_bytes()
    for name, part in {"subfigure": left, "axes": left.subplots()}.items():
        whole = save(figure, tmp_path / "figure.png").read_bytes()
        assert save(part, tmp_path / f"{name}.png").read_bytes() == whole
    assert whole != picture


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.txt", "a.png.zip"])
def test_endings_that_are_no_picture(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: a picture ends in .png, .svg or .pdf"):
        save(pulse(card()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_endings_in_capitals(tmp_path):
    assert imread(save(pulse(card()), tmp_path / "A.PNG"), format="png").ndim == 3


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_picture_has_the_same_bytes(tmp_path, suffix):
    one, two = (save(pulse(card()), tmp_path / f"{i}{suffix}").read_bytes() for i in range(2))
    assert one == two
    assert b"Date" not in one


@pytest.mark.parametrize("where", ["savefig", "replace"])
@pytest.mark.parametrize("old", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, where, old):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    target = tmp_path / "a.png"
    if old:
        target.write_text("old")
    if where == "savefig":
        monkeypatch.setattr(Figure, "savefig", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save(pulse(card()), target)
    assert [p.name for p in tmp_path.iterdir()] == (["a.png"] if old else [])
    assert not old or target.read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        path = save(pulse(card()), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert oct(stat.S_IMODE(path.stat().st_mode)) == oct(0o644)


def test_pyplot_stays_unloaded(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from disentangle_indicators import score\n"
        "from disentangle_indicators.plots import pulse, save\n"
        "card = score(np.eye(3), var=np.full((3, 3), 0.5))\n"
        f"save(pulse(card), {str(tmp_path / 'a.png')!r})\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "False\n"


def test_pyplot_state_is_left_alone(tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, rcParams

    figure = pyplot.figure()
    try:
        settings = dict(rcParams)
        ax = figure.add_subplot()
        save(pulse(card()), tmp_path / "a.png")
        assert pyplot.get_fignums() == [figure.number]
        assert pyplot.gca() is ax
        assert dict(rcParams) == settings
    finally:
        pyplot.close(figure)
