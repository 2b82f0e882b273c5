"""Every write, fsync, rename and open of every writer fails once: what is on the disk then?

    cc -shared -fPIC -o faults.so faults.c -ldl
    LD_PRELOAD=./faults.so PYTHONPATH=tests python -m reliability.faults [WRITER...] [--few]

prints a line of JSON for each writer. The number of calls is counted in a run without faults.
"""

import ctypes
import errno
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("faults.c")
KINDS = {"write": 1, "fsync": 2, "rename": 3, "open": 4}
CODES = {
    "write": (errno.ENOSPC, errno.EIO),
    "fsync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EACCES, errno.EIO, errno.ENOSPC),
    "open": (errno.EACCES, errno.ENOSPC),
}
FOREVER = 1 << 40


class Writer(NamedTuple):
    """How a file is written, and the names in the folder that it writes."""

    write: Callable[[Path], object]
    names: tuple[str, ...]


def _arrays():
    import numpy as np

    mean = np.random.default_rng(0).normal(size=(3000, 8)).astype("f4")
    return {"mean": mean, "logvar": -abs(mean)}


def _beside(n):
    import numpy as np

    return {"labels": np.arange(n) % 3, "factors": np.arange(n).reshape(n, 1) % 4}


def _written(folder, suffix):
    from disentangle_indicators import write_encodings

    write_encodings(folder / f"a{suffix}", **_arrays(), **_beside(3000), metadata={"note": "x"})


def _appended(folder, suffix):
    from disentangle_indicators.encodings import append_encodings

    arrays = _arrays()
    with append_encodings(folder / f"a{suffix}") as file:
        for rows in (slice(0, 1000), slice(1000, 3000)):
            file.add(arrays["mean"][rows], logvar=arrays["logvar"][rows])


@functools.cache
def _card():
    import numpy as np

    from disentangle_indicators import score

    mean = np.random.default_rng(0).normal(size=(60, 3))
    return score(mean, var=np.full((60, 3), 0.3))


def _reported(folder, form):
    from disentangle_indicators.report import write

    write(_card(), folder / f"a.{form}", form)


def _drawn(folder, suffix):
    from matplotlib.figure import Figure

    from disentangle_indicators.plots._save import save

    figure = Figure((2, 2))
    figure.subplots().plot([0, 1])
    save(figure, folder / f"a{suffix}")


def _summed(folder):
    import numpy as np

    from disentangle_indicators import Encodings
    from disentangle_indicators.summary import Summary

    mean = np.random.default_rng(0).normal(size=(60, 3))
    Summary.of(Encodings.of(mean, np.full((60, 3), 0.3))).save(folder / "a.npz")


def _model():
    import torch
    from runs import config

    from dindic_models.config import make_model

    torch.manual_seed(0)
    settings = config()
    return settings, make_model(settings, (1, 8, 8))


def _configured(folder):
    from dindic_models.checkpoint import save_config

    save_config(folder, _model()[0], (1, 8, 8), {"name": "array"}, ["cpu"])


def _weighed(folder):
    from dindic_models.checkpoint import save_model

    settings, model = _model()
    save_model(folder, model, 3, settings)


def _tensors(folder):
    from dindic_models.checkpoint import write_tensors

    write_tensors(folder / "training.safetensors", _model()[1].state_dict(), {"step": "3"})


def _told(folder):
    from dindic_models.history import write_csv

    write_csv(folder / "history.csv", [{"epoch": 1.0, "evlb": -3.0}])


def _kept(folder):
    import numpy as np

    from dindic_models.measure import Measured, keep

    keep(folder, Measured({"used": 2}, {"kl_prior": np.ones(2)}))


def _bundled(folder):
    from runs import dataset

    from dindic_models.bundled import bundle

    bundle(_run(), "small", dataset(), made_with="x", images=20, folder=folder)


_RUNS: list[Path] = []


def _run():
    """Return the folder of a short run, made once."""
    from runs import config, dataset

    from dindic_models.train import train

    if not _RUNS:
        folder = Path(tempfile.mkdtemp(prefix="run-"))
        train(config(epochs=1), dataset(), folder / "run")
        _RUNS.append(folder / "run")
    return _RUNS[0]


def writers() -> dict[str, Writer]:
    """Return all writers by name."""
    from disentangle_indicators.encodings.formats import WRITERS
    from disentangle_indicators.report import WRITERS as REPORTS

    found = {}
    for verb, write in (("write", _written), ("append", _appended)):
        for suffix in WRITERS:
            found[f"{verb} {suffix}"] = Writer(
                lambda folder, write=write, suffix=suffix: write(folder, suffix), (f"a{suffix}",)
            )
    for form in REPORTS:
        found[f"report {form}"] = Writer(
            lambda folder, form=form: _reported(folder, form), (f"a.{form}",)
        )
    for suffix in (".png", ".svg", ".pdf"):
        found[f"picture {suffix}"] = Writer(
            lambda folder, suffix=suffix: _drawn(folder, suffix), (f"a{suffix}",)
        )
    found["summary"] = Writer(_summed, ("a.npz",))
    for name, write, file in (
        ("config", _configured, "config.json"),
        ("weights", _weighed, "model.safetensors"),
        ("training state", _tensors, "training.safetensors"),
        ("history", _told, "history.csv"),
        ("measurement", _kept, "measured.json"),
    ):
        found[name] = Writer(write, (file,))
    found["bundle"] = Writer(_bundled, ("small",))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    files = {p for p in folder.rglob("*") if p.is_file()}
    empty = {p for p in folder.rglob("*") if p.is_dir() and not any(p.iterdir())}
    return {
        str(p.relative_to(folder)): b"" if p in empty else p.read_bytes() for p in files | empty
    }


def attempt(shim, writer: Writer, folder: Path, kind: str, first: int, last: int, code: int):
    """Write with faults; return what is wrong, "" for nothing, and the number of calls."""
    before = contents(folder)
    said = ""
    shim.faults_arm(os.fsencode(folder), KINDS[kind], first, last, code)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            writer.write(folder)
    except OSError as error:
        if error.errno not in (code, errno.EIO):  # EIO where a library keeps the number back
            said = f"errno {error.errno} instead of {code}: {error}"
        elif not any(str(folder / name) == str(error.filename) for name in writer.names):
            said = f"names {error.filename}: {error}"
    except Exception as error:  # noqa: BLE001 - what it is, is what is asked
        said = f"{type(error).__name__}: {error}"
    else:
        said = "no error" if first else ""
    finally:
        calls = shim.faults_count()
        shim.faults_arm(b"/nowhere", 0, 0, 0, 0)
    after = contents(folder)
    if first and said != "no error" and after != before:
        gone = [name for name in before if after.get(name) != before[name]]
        more = [name for name in after if name not in before]
        said = f"{said}; changed: {gone}, left: {more}"
    if said == "no error" and not _is_whole(folder, after):
        said = "no error, and the file is broken"
    return said, calls


_GOOD: dict[str, dict[str, bytes]] = {}


def _is_whole(folder, after):
    """Whether the files are what a run without a fault writes: then a fault was made up for."""
    return after == _GOOD.get(str(folder), {})


def check(shim, name: str, writer: Writer, *, few: bool) -> dict[str, object]:
    """Let every call fail, alone and with all calls after it."""
    wrong: list[str] = []
    count = recovered = 0
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        for there in (True, False)[: 1 if few else 2]:
            shutil.rmtree(folder)
            folder.mkdir()
            writer.write(folder)
            _GOOD[str(folder)] = contents(folder)
            for kind in KINDS:
                _, calls = attempt(shim, writer, folder, kind, 0, 0, 0)
                numbers = range(1, calls + 1) if not few else sorted({1, calls // 2, calls} - {0})
                for code in CODES[kind][: 1 if few else None]:
                    for k in numbers:
                        for last in (k, FOREVER):
                            if not there:
                                shutil.rmtree(folder)
                                folder.mkdir()
                            said, _ = attempt(shim, writer, folder, kind, k, last, code)
                            count += 1
                            recovered += said == "no error"
                            if said and said != "no error":
                                many = "" if last == k else " and after"
                                wrong.append(
                                    f"{kind} {k}{many} of {calls}, {errno.errorcode[code]}"
                                    f"{'' if there else ', new file'}: {said}"
                                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"writer": name, "faults": count, "recovered": recovered, "wrong": wrong}


def main(arguments: list[str]) -> None:
    """Print a line for each writer that is asked for."""
    shim = ctypes.CDLL(None)
    shim.faults_arm.argtypes = [
        *(ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_int)
    ]
    shim.faults_count.restype = ctypes.c_long
    few = "--few" in arguments
    asked = [word for word in arguments if word != "--few"]
    for name, writer in writers().items():
        if not asked or name in asked:
            try:
                print(json.dumps(check(shim, name, writer, few=few)), flush=True)
            except ImportError as error:
                print(json.dumps({"writer": name, "skipped": str(error)}), flush=True)


NAMES = (
    *(
        f"{verb} {suffix}"
        for verb in ("write", "append")
        for suffix in (".npz", ".safetensors", ".h5ad", ".h5", ".zarr.zip", ".parquet")
    ),
    *(f"report {form}" for form in ("json", "csv", "markdown", "latex", "html")),
    *("picture .png", "picture .svg", "picture .pdf", "summary", "config", "weights"),
    *("training state", "history", "measurement", "bundle"),
)
"""Writers on the page; two suffixes of one format count once."""


def row(name: str) -> dict[str, object]:
    """Let every call of a writer fail, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            (found,) = run(Path(folder), [name])
        except RuntimeError as error:  # a signal ended the process
            return {"count": 1, "outcome": "ended", "bad": [str(error)[:200]]}
    made_up = f"{found['recovered']} made up for by the library, " if found["recovered"] else ""
    intact = found["faults"] - found["recovered"] - len(found["wrong"])
    return {
        "count": found["faults"],
        "outcome": f"{made_up}{intact} errors with the old file intact",
        "bad": found["wrong"],
    }


def run(folder: Path, names: list[str], *, few: bool = False) -> list[dict[str, object]]:
    """Compile what makes calls fail, and return the lines of a process that runs with it.

    Raises
    ------
    FileNotFoundError
        Where there is no C compiler.
    """
    library = folder / "faults.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    environment["PYTHONPATH"] = os.pathsep.join([str(SOURCE.parents[1]), *sys.path])
    command = [sys.executable, "-m", "reliability.faults", *names, *["--few"] * few]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ended with {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main(sys.argv[1:])
