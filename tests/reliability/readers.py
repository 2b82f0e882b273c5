"""Mutated files of every format: each is read, or is a ValueError that names it.

A mutation is drawn from its number alone. Half of them know the structure of the file: marks of
archives and headers, the sizes and the offsets behind them, names of arrays and columns.
"""

import functools
import multiprocessing
import os
import re
import resource
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

COUNTS = {
    "npz": 14_000,
    "deflated.npz": 9_000,
    "ours.npz": 14_000,
    "safetensors": 12_000,
    "ours.safetensors": 9_000,
    "npy": 9_000,
    "csv": 9_000,
    "tsv": 4_000,
    "pt": 6_000,
    "legacy.pth": 4_000,
    "mat": 4_000,
    "feather": 3_000,
    "parquet": 3_000,
    "h5": 3_000,
    "ours.h5ad": 1_000,
    "zarr.zip": 1_000,
    "state.npz": 3_000,
}
"""Mutated files of each kind; ours are those that are written here."""

CHUNK = 250
"""Files of one child process, which may die."""

SECONDS = 5
"""CPU time that a file may take; a hang is longer, and ends the child."""

MARKS = re.compile(
    rb"PK\x01\x02|PK\x03\x04|PK\x05\x06|PK\x06\x06|\x93NUMPY|\x89HDF|ARROW1|PAR1|FEA1|TREE|SNOD|HEAP|FRHP|OHDR"
    rb"|\{'descr|shape|dtype|data_offsets|mean|logvar|MATLAB|fortran_order|zarr|chunk|ustar|\x80\x02"
)
EDGES = (0, 1, -1, 2, 127, 128, 255, 1 << 15, (1 << 16) - 1, 1 << 31, (1 << 31) - 1, 1 << 63)
WORDS = (
    b"mean",
    b"logvar",
    b"factors",
    b"var",
    b"<f8",
    b"<f4",
    b"|O8",
    b"<U9",
    b"F64",
    b"nan",
    b"-1",
)


def originals(folder: Path, kinds: Iterable[str] = COUNTS) -> dict[str, Path]:
    """Write one small file of each kind, and return where they are."""
    from savers import SAVERS

    from disentangle_indicators import Encodings, write_encodings
    from disentangle_indicators.summary import Summary

    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(12, 3)), rng.uniform(0.5, 1, (12, 3))
    found = {}
    for kind in kinds:
        path = folder / f"original.{kind}"
        if kind == "state.npz":
            Summary.of(Encodings.of(mean, var)).save(path)
        elif kind.startswith("ours"):
            beside = {"labels": np.arange(12) % 3, "clusters": np.arange(12) // 2}
            factors = np.arange(24).reshape(12, 2) % 4
            if kind.endswith(".h5ad"):
                beside.pop("clusters")
            write_encodings(
                path, mean, var=var, factors=factors, factor_names=["a", "b"], **beside
            )
        elif kind == "npy":
            np.save(path, mean)
        else:
            SAVERS[kind](path, {"mean": mean, "var": var})
        found[kind] = path
    return found


def mutated(raw: bytes, seed: list[int]) -> bytes:
    """Return a file with one to three changes, drawn from the seed."""
    rng = np.random.default_rng(seed)
    data = bytearray(raw)
    marks = [match.start() for match in MARKS.finditer(raw)] or [0]
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        near = rng.random() < 0.5
        at = int(rng.choice(marks) + rng.integers(0, 48)) if near else int(rng.integers(len(data)))
        at = min(at, len(data) - 1)
        kind = rng.integers(9)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:  # a size or an offset
            size = int(rng.choice([1, 2, 4, 8]))
            value = int(EDGES[rng.integers(len(EDGES))]) % (1 << 8 * size)
            data[at : at + size] = value.to_bytes(size, "little")
        elif kind == 3:  # one that is a little off
            size = int(rng.choice([2, 4, 8]))
            value = int.from_bytes(data[at : at + size], "little") + int(rng.integers(-9, 10))
            data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            del data[at : at + int(rng.integers(1, 40))]
        elif kind == 6:  # a piece of the file again
            begin = int(rng.integers(len(data)))
            data[at:at] = data[begin : begin + int(rng.integers(1, 200))]
        elif kind == 7:  # another name, dtype or number
            old, new = (WORDS[i] for i in rng.integers(len(WORDS), size=2))
            data = data.replace(old, new, 1 if rng.random() < 0.5 else -1)
        else:  # digits of a header of text
            digits = [m.start() for m in re.finditer(rb"[0-9]", bytes(data[:4096]))]
            if digits:
                data[digits[rng.integers(len(digits))]] = int(rng.choice(list(b"0123456789-.,e")))
    return bytes(data)


def outcome(path: Path, kind: str, expected: object) -> str:
    """Read a file; return "read", "other numbers", "refused", or what is wrong."""
    try:
        found = content(path, kind)
    except ValueError as error:
        text = str(error)
        if path.name not in text:
            return f"no name: {text[:200]}"
        return "refused"
    except OSError as error:
        return "refused" if path.name in str(error) else f"no name: {error!r}"[:200]
    except MemoryError as error:
        return f"memory: {error}"[:200]
    except Exception as error:  # noqa: BLE001 - what it is, is what is asked
        return f"{type(error).__name__}: {error}"[:200]
    return "read" if found == expected else "other numbers"


def content(path: Path, kind: str) -> object:
    """Return what a file holds, in a form that can be compared."""
    if kind == "state.npz":
        from disentangle_indicators.summary import Summary

        moments = Summary.load(path).moments
        return moments.n, np.asarray(moments.mean).tobytes()
    from disentangle_indicators import read_encodings

    encodings = read_encodings(path)
    blocks = [
        (np.asarray(m).tobytes(), None if v is None else np.asarray(v).tobytes())
        for m, v in encodings.batches(5)
    ]
    clusters = None if encodings.clusters is None else np.asarray(encodings.clusters).tolist()
    return blocks, clusters


def _child(kind, raw, first, last, connection, folder):
    path = Path(folder, f"m-{os.getpid()}.{kind}")
    warnings.simplefilter("ignore")
    whole = path.with_name(f"w-{os.getpid()}.{kind}")
    whole.write_bytes(raw)
    expected = content(whole, kind)
    whole.unlink()
    for number in range(first, last):
        path.write_bytes(mutated(raw, [number, len(kind)]))
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + SECONDS, hard))
        connection.send(outcome(path, kind, expected))
    path.unlink()
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def chunk(
    kind: str, raw: bytes, first: int, last: int, folder: str
) -> tuple[Counter[str], list[tuple[int, str]], int]:
    """Read mutated files in a child; return what was found, what is bad, and the peak in MB."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    child = fork.Process(target=_child, args=(kind, raw, first, last, theirs, folder))
    child.start()
    theirs.close()
    found: Counter[str] = Counter()
    bad: list[tuple[int, str]] = []
    number = first
    try:
        while isinstance(said := ours.recv(), str):
            if said in ("read", "refused", "other numbers"):
                found[said] += 1
            else:
                bad.append((number, said))
            number += 1
        child.join()
        return found, bad, said
    except EOFError:
        child.join()
    ended = -(child.exitcode or 0)
    slow = ended == signal.SIGXCPU
    bad.append((number, f"more than {SECONDS} CPU s" if slow else f"ended by signal {ended}"))
    more = chunk(kind, raw, number + 1, last, folder) if number + 1 < last else (Counter(), [], 0)
    return found + more[0], bad + more[1], more[2]


@functools.cache
def _raw() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return {kind: path.read_bytes() for kind, path in originals(Path(folder)).items()}


def read_mutated(kind: str, before: dict | None = None, files: int = 2 * CHUNK) -> dict:
    """Read some more mutated files of a kind; return how many so far, and what came of them."""
    before = before or {"count": 0, "found": {}, "bad": [], "peak": 0}
    total, bad, peak = Counter(before["found"]), list(before["bad"]), before["peak"]
    begin, end = before["count"], min(before["count"] + files, COUNTS[kind])
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        for first in range(begin, end, CHUNK):
            found, wrong, high = chunk(kind, _raw()[kind], first, min(first + CHUNK, end), folder)
            total.update(found)
            bad += [f"{kind} {number}: {said}" for number, said in wrong]
            peak = max(peak, high)
    words = ", ".join(f"{total[name]:,} {name}" for name in sorted(total))
    unfinished = f" ({COUNTS[kind]:,} planned)" * (end < COUNTS[kind])
    outcome = f"{words}{unfinished}; peak {peak} MB"
    return {
        "count": end,
        "outcome": outcome,
        "bad": bad,
        "found": dict(total),
        "peak": peak,
        "complete": end == COUNTS[kind],
    }
