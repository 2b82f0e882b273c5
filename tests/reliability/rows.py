"""The rows of the page: what is tried, under which heading, and the faults that stand."""

from collections.abc import Callable
from functools import partial

from reliability import attempts, faults, versions
from reliability.readers import COUNTS, read_mutated

Found = dict[str, object]

HEADINGS = {
    "readers": "Mutated files: bits, sizes, offsets, names, pieces. Right is that a file is read, or that the error "
    "names it. Formats without checksums read changed numbers as other numbers.",
    "bombs": "Small files that announce much. Right is an error, in less than 1 GB and 60 CPU seconds.",
    "injected errors": "ENOSPC, EIO and EACCES at each write, fsync, rename and open of each writer, once and from "
    "there on. Right is that the old file is intact, that the error names the file, and that nothing is left.",
    "signals": "Commands that get a signal at a random time. Right is the exit code of shells, whole files, and "
    "no leftovers but for SIGKILL, which the next run sweeps.",
    "concurrency": "Processes that write the same file or folder at once.",
    "determinism": "Every artefact written by two processes with other seeds of hashes. Right is the same bytes.",
    "environment": "The command line where something is missing.",
    "versions": "The package with its pins: tests of the core under other Pythons, and each extra alone. Python 3.11 "
    "is that of every other row; its oldest releases are those of `make lowest`.",
    "size": "Large files, scored by one thread.",
    "numbers": "Indicators against 50 digits of mpmath: variances 1e-12 to 1e6, offsets 0 to 1e8, two dtypes.",
    "trust": "Files that try to run code, or to command a terminal, a browser or a spreadsheet.",
}

ROWS: dict[str, Callable[[], Found]] = {
    **{f"readers: {kind}": partial(read_mutated, kind) for kind in COUNTS},
    **{f"bombs: {name}": partial(attempts.bomb, name) for name in attempts.BOMBS},
    **{f"injected errors: {name}": partial(faults.row, name) for name in faults.NAMES},
    **{
        f"signals: {command} {name}": partial(attempts.signals, command, name)
        for command in attempts.COMMANDS
        for name in ("SIGTERM", "SIGINT", "SIGKILL")
    },
    "concurrency: eight conversions to one file": attempts.one_file,
    "concurrency: two trainings in one folder": attempts.one_folder,
    "determinism: all writers": attempts.same_bytes,
    "environment: score": attempts.environments,
    **{f"versions: Python {name}": partial(versions.python, name) for name in versions.PYTHONS},
    **{f"versions: extra {name}": partial(versions.extra, name) for name in versions.EXTRAS},
    **{f"size: {name}": partial(attempts.size, name) for name in attempts.SIZES},
    "numbers: Definitions 1 and 3": attempts.numbers,
    "trust: code in files": attempts.code,
    "trust: names in outputs": attempts.names,
}

OPEN = (
    (
        "**scipy ends the process** (SIGSEGV) on one of some hundred damaged `mat` files before version 7.3, in its "
        "compiled reader. Nothing in Python can catch it."
    ),
    (
        "**pyarrow ends the process** (SIGABRT) on one of some hundred damaged `parquet` files, where it fails an "
        "assertion of its own. Nothing in Python can catch it."
    ),
    (
        "**HDF5 loops for ever** on some damaged files (`ours.h5ad`, `h5`): the library follows a list "
        "of its own that ends nowhere. Python cannot stop it; run readers of strangers' HDF5 files under `timeout`."
    ),
    (
        "**A file that shrinks within a few microseconds** can still end the process by SIGBUS where a library maps it: "
        "`.pt`, images in `.npy`, weights in `.safetensors`, sizes of compressed Arrow batches. Its length is compared before each "
        "block. All other formats are read without a map."
    ),
    (
        "**Windows and macOS were not seen.** By their manuals: `os.replace` fails on Windows while another program has "
        "the target open (the old file stays, exit code 1); there is no `fcntl` there, so nothing locks the folder of a training; "
        "hidden files of killed processes are not swept, since signal 0 would end a process; names are compared without "
        "case, so that `A.json` and `a.json` are one output and are not refused as such. On macOS fsync does not empty the "
        "cache of the drive."
    ),
    "**Python 3.14** was not seen.",
    "**CUDA out of memory** was not provoked.",
)
