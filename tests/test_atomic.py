"""Files are written whole or not at all, and what killed processes left is swept."""

import os
import stat
import subprocess
import sys
from hashlib import sha256

import pytest

from disentangle_indicators._files import atomic, temporary_of

POSIX = pytest.mark.skipif(os.name == "nt", reason="permissions and processes of POSIX")


def write(path, text="new"):
    with atomic(path) as temporary:
        temporary.write_text(text)


def dead():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def left_by(process, target):
    """The name that a process would have taken for a temporary file."""
    mine = temporary_of(target).name
    return target.with_name(mine.replace(f"-{os.getpid()}-", f"-{process}-"))


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_was_there_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "a"
    write(path)
    path.chmod(mode)
    write(path, "newer")
    assert path.read_text() == "newer"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write(path, "old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root every file is writable
    with pytest.raises(PermissionError, match="read-only") as raised:
        write(path)
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("a" * 250)
    write(path)
    assert os.listdir(tmp_path) == [path.name]


@POSIX
def test_what_a_killed_process_left_is_swept_by_the_next_write(tmp_path):
    path = tmp_path / "a"
    gone = dead()
    file, folder = left_by(gone, path), left_by(gone, path).with_suffix(".tmp-scratch")
    file.write_text("half")
    folder.mkdir()
    (folder / "mean").write_text("half")
    others = left_by(gone, tmp_path / "b"), left_by(os.getppid(), path)
    for other in others:
        other.write_text("half")
    write(path)
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *(other.name for other in others)])


@POSIX
def test_a_file_of_another_machine_is_left_alone(tmp_path):
    path = tmp_path / "a"
    stem = f".dindic-{sha256(b'a').hexdigest()[:10]}"
    (tmp_path / f"{stem}-999999-{dead()}-0.tmp").write_text("half")
    write(path)
    assert len(os.listdir(tmp_path)) == 2
