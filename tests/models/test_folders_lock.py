"""One process at a time writes to the folder of a run."""

import os
import subprocess
import sys

import pytest

from dindic_models.folders import locked

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no flock on Windows")

OTHER = "import sys; from pathlib import Path; from dindic_models.folders import locked\n"


def elsewhere(folder):
    """Take the lock in another process; return its exit code and what it says."""
    script = f"{OTHER}with locked(Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_another_process_is_refused_until_the_first_one_ends(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        code, said = elsewhere(folder)
        assert code == 1
        assert "another process writes to this folder" in said
        (folder / "config.json").write_text("{}")
    assert elsewhere(folder) == (0, "")
    assert os.listdir(folder) == ["config.json"]


def test_a_folder_that_stayed_empty_goes_away(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "run"):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_a_folder_that_was_there_stays(tmp_path):
    with locked(tmp_path):
        pass
    assert tmp_path.is_dir()


def test_the_lock_ends_with_its_process(tmp_path):
    script = f"{OTHER}import os\nwith locked(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    with locked(tmp_path):
        pass
