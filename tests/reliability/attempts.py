"""Bombs, signals, several processes at once, other environments, large files, numbers, hostile files."""

import contextlib
import gzip
import io
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np

Found = dict[str, object]

FORK = multiprocessing.get_context("fork")


# --- in a child -----------------------------------------------------------------------------------


def in_child(function, *arguments, seconds=120):
    """Return what a function returns in a forked child, its peak in MB above the start, and CPU seconds."""
    ours, theirs = FORK.Pipe(duplex=False)

    def run():
        warnings.simplefilter("ignore")
        soft = int(time.process_time()) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        before, begun = _resident(), time.process_time()
        try:
            said = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - what it is, is what is asked
            said = f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        theirs.send((said, max(0, round(peak)), time.process_time() - begun))

    child = FORK.Process(target=run)
    child.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        child.join()
        return f"ended with {child.exitcode}", 0, float(seconds)


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def command(*words):
    """Run a command of the command line here; return its exit code and what it printed."""
    from click.testing import CliRunner

    from dindic import main

    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


# --- bombs ----------------------------------------------------------------------------------------


def _npy(shape, descr="<f8", fortran=False):
    header = io.BytesIO()
    about = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_2_0(header, about)
    return header.getvalue()


def _zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (header, zeros) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(header)
                for _ in range(zeros // (1 << 20)):
                    stream.write(bytes(1 << 20))
                stream.write(bytes(zeros % (1 << 20)))


def _small():
    header = _npy((4, 2))
    return {"mean": (header, 64), "logvar": (header, 64)}


def _long_text(path):
    _zipped(path, {**_small(), "metadata": (_npy((), "<U134217728"), 4 << 27)})


def _labels(path):
    _zipped(path, {**_small(), "labels": (_npy((4,), "<U33554432"), 4 << 27)})


def _fortran(path):
    shape = (1 << 16, 1 << 10)
    _zipped(path, {name: (_npy(shape, "<f8", True), 1 << 29) for name in ("mean", "logvar")})


def _announced(path):
    path.write_bytes(_npy((10**12, 3)) + bytes(240))


def _repeated(path):
    import torch

    wide = torch.zeros(1, 3).expand(10**9, 3)
    torch.save({"mean": wide, "var": wide}, path)


def _columns(path):
    names = ",".join(f"mean_{i}" for i in range(100_000))
    path.write_text(names + "\n" + ",".join(["1"] * 100_000) + "\n")


def _parquet(path):
    import pyarrow
    from pyarrow import parquet

    wide = {f"mean_{i}": np.zeros(2) for i in range(20_000)}
    parquet.write_table(pyarrow.table(wide), path)


def _tensors(path):
    entry = '"t%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = ("{" + ",".join(entry % i for i in range(1_000_000)) + "}").encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def _header(path):
    path.write_bytes((1 << 60).to_bytes(8, "little") + b'{"mean": {}}')


def _unfilled(path):
    import h5py

    with h5py.File(path, "w") as root:
        for name in ("mean", "labels"):
            root.create_dataset(name, (10**6, 1000), "f4", chunks=(1000, 1000))


def _without_chunks(path):
    import zarr

    with contextlib.closing(zarr.storage.ZipStore(path, mode="w")) as store:
        root = zarr.create_group(store)
        for name in ("mean", "logvar"):
            root.create_array(name, shape=(10**6, 1000), dtype="f4", chunks=(10**6, 1000))


def _lines(path):
    with gzip.open(path, "wb") as stream:
        for _ in range(64):
            stream.write(b"x" * (1 << 20))


def _images(path):
    with gzip.open(path / "train-images-idx3-ubyte.gz", "wb") as stream:
        stream.write(b"".join(n.to_bytes(4, "big") for n in (2051, 10, 28, 28)))
        for _ in range(512):
            stream.write(bytes(1 << 20))
    for name in ("train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (path / f"{name}-ubyte.gz").write_bytes(gzip.compress(b""))


BOMBS = {
    "npz, text of 512 MB as metadata": ("a.npz", _long_text),
    "npz, text of 512 MB as labels": ("a.npz", _labels),
    "npz, zeros of 512 MB in Fortran order": ("a.npz", _fortran),
    "npy, a header of 24 TB": ("a.npy", _announced),
    "pt, one row a billion times": ("a.pt", _repeated),
    "csv, 100,000 columns": ("a.csv", _columns),
    "parquet, 20,000 columns": ("a.parquet", _parquet),
    "safetensors, 1,000,000 empty tensors": ("a.safetensors", _tensors),
    "safetensors, a header of 2^60 bytes": ("a.safetensors", _header),
    "h5, 4 GB that were never written": ("a.h5", _unfilled),
    "zarr, a chunk of 4 GB that was never written": ("a.zarr.zip", _without_chunks),
    "csv.gz, one line of 64 MB": ("a.csv.gz", _lines),
    "MNIST, 512 MB behind ten images": ("mnist", _images),
}


def _opened(path):
    if path.is_dir():
        from dindic_models.data import open_data

        return f"read: {open_data(path).source}"
    from disentangle_indicators import read_encodings

    encodings = read_encodings(path)
    if path.suffix in (".h5", ".zip"):  # a block of it, as scoring does
        next(encodings.batches(1000))
        return "read by blocks"
    return f"read: {sum(len(m) for m, _ in encodings.batches(100))} rows"


def bomb(name: str) -> Found:
    """Read a bomb in a child; what takes more than 1 GB or 60 s, or another exception, is a fault."""
    file, make = BOMBS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, file)
        if "." not in file:
            path.mkdir()
        make(path)
        files = [path] if path.is_file() else list(path.iterdir())
        size = sum(each.stat().st_size for each in files)
        said, peak, seconds = in_child(_opened, path, seconds=60)
    kinds = ("read", "ValueError", "AmbiguousEncodings", "FileNotFoundError")
    right = said.startswith(kinds) and peak < 1000
    word = "read" if said.startswith("read") else "refused"
    outcome = f"{size / 1e6:.2g} MB: {word}, {peak} MB of memory, {seconds:.1f} CPU s"
    return {"count": 1, "outcome": outcome, "bad": [] if right else [f"{said[:200]}; {outcome}"]}


# --- signals --------------------------------------------------------------------------------------

COMMANDS = ("score", "convert", "train")
TRIES = 40
CODES = {"SIGTERM": 143, "SIGINT": 130}


def _words(name, folder):
    if name == "score":
        files = ["--json", folder / "a.json", "--csv", folder / "a.csv"]
        return ["score", folder / "in.npz", "--no-joint", *files]
    if name == "convert":
        return ["convert", folder / "in.npz", folder / "a.safetensors"]
    where = ["--data", folder / "images.npy", "--network", "mlp", "--epochs", 3]
    return ["train", *where, "-o", folder / "run"]


def _input(folder):
    rng = np.random.default_rng(0)
    np.savez(folder / "in.npz", mean=rng.normal(size=(40_000, 8)), var=np.full((40_000, 8), 0.2))
    np.save(folder / "images.npy", rng.integers(0, 256, (512, 8, 8), dtype=np.uint8))


def _exit(words):
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        from dindic import main

        main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code or 0
    except KeyboardInterrupt:  # before the command, where Python ends by the signal
        code = CODES["SIGINT"]
    finally:
        os._exit(int(code))


def _forked(words):
    child = os.fork()
    if not child:
        _exit(words)
    return child


def _code(status):
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def signals(name: str, sign: str) -> Found:
    """Send a signal after a random share of the time that the command takes.

    Before the command has its handler the signal ends the process, for which shells have the same exit code.
    """
    import torch  # noqa: F401 - loaded once, before the forks

    bad, before_end, number = [], 0, getattr(signal, sign)
    rng = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _input(folder)
        kept = {file.name for file in folder.iterdir()}
        if name != "train":
            command(*_words(name, folder))  # so that a child imports nothing
        begun = time.monotonic()
        code = _code(os.waitpid(_forked(_words(name, folder)), 0)[1])
        whole = time.monotonic() - begun
        good = {f.name: f.stat().st_size for f in folder.iterdir() if f.is_file()}
        if code:
            bad.append(f"without a signal it ends with {code}")
        for attempt in range(TRIES):
            for path in folder.iterdir():
                if path.name not in kept:
                    subprocess.run(["rm", "-rf", path], check=True)
            child = _forked(_words(name, folder))
            time.sleep(rng.uniform(0, whole))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
            code = _code(os.waitpid(child, 0)[1])
            before_end += code != 0
            allowed = {0, -number, 1 if sign == "SIGKILL" else CODES[sign]}
            left = [str(f.name) for f in folder.rglob("*") if f.name.startswith(".dindic-")]
            if code not in allowed:
                bad.append(f"{attempt}: exit code {code}")
            if left and sign != "SIGKILL":
                bad.append(f"{attempt}: left {left}")
            for path in folder.iterdir():
                ours = path.is_file() and path.name not in kept and not path.name.startswith(".")
                if ours and abs(path.stat().st_size - good[path.name]) > 200:
                    bad.append(f"{attempt}: {path.name} is torn")
    outcome = f"{before_end} of {TRIES} stopped before the end, the others finished"
    return {"count": TRIES, "outcome": outcome, "bad": bad}


# --- concurrency ----------------------------------------------------------------------------------


def one_file() -> Found:
    """Let eight processes write one file, five times; it is that of one of them."""
    from disentangle_indicators import read_encodings

    bad = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _input(folder)
        words = ["convert", folder / "in.npz", folder / "a.safetensors"]
        command(*words)
        good = (folder / "a.safetensors").read_bytes()
        for attempt in range(5):
            children = [_forked(words) for _ in range(8)]
            codes = [_code(os.waitpid(child, 0)[1]) for child in children]
            left = {f.name for f in folder.iterdir()} - {"in.npz", "images.npy", "a.safetensors"}
            if any(codes) or left or (folder / "a.safetensors").read_bytes() != good:
                bad.append(f"{attempt}: exit codes {codes}, left {left}")
        read_encodings(folder / "a.safetensors")
    return {"count": 40, "outcome": "all ended with 0, one whole file each time", "bad": bad}


def one_folder() -> Found:
    """Start two trainings with other seeds in one folder; one is refused, the other is whole."""
    import torch  # noqa: F401

    bad = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _input(folder)
        for attempt in range(6):
            run = folder / f"run{attempt}"
            words = ["train", "--data", folder / "images.npy", "--network", "mlp", "--epochs", 1]
            pair = [_forked([*words, "--seed", seed, "-o", run]) for seed in (0, 1)]
            codes = [_code(os.waitpid(child, 0)[1]) for child in pair]
            if sorted(codes) != [0, 2]:
                bad.append(f"{attempt}: exit codes {codes}")
                continue
            seed = json.loads((run / "config.json").read_text())["config"]["seed"]
            if seed != codes.index(0):
                bad.append(f"{attempt}: the settings are of seed {seed}, exit codes {codes}")
    return {"count": 6, "outcome": "one trains, the other is refused (exit code 2)", "bad": bad}


# --- determinism, environment ---------------------------------------------------------------------

_WRITE_ALL = """
import hashlib, json, re, sys, tempfile
from pathlib import Path
from reliability.faults import contents, writers
date = rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?([+]00:00|Z)?"
clock = re.compile(date + rb'|"seconds": [0-9.]+')
found = {}
for name, writer in writers().items():
    with tempfile.TemporaryDirectory() as folder:
        writer.write(Path(folder))
        for file, data in contents(Path(folder)).items():
            found[f"{name}: {file}"] = hashlib.sha256(clock.sub(b"", data)).hexdigest()
print(json.dumps(found))
"""


def _python(code, **environment):
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    return done.stdout


def same_bytes() -> Found:
    """Write every artefact in two processes, and compare them but for dates and the seconds that training took."""
    one, two = (
        json.loads(_python(_WRITE_ALL, PYTHONHASHSEED=seed, OMP_NUM_THREADS=threads))
        for seed, threads in (("1", "1"), ("2", "2"))
    )
    bad = [name for name in one if one[name] != two.get(name)]
    return {
        "count": len(one),
        "outcome": f"{len(one) - len(bad)} the same but for dates and seconds of training",
        "bad": bad,
    }


def environments() -> Found:
    """Score where HOME, the locale, the terminal or streams are missing."""
    root = Path(__file__).parents[2]
    file = root / "examples" / "data" / "mnist_vae.npz"
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    cases = {
        "no HOME": {},
        "a HOME that cannot be written": {"HOME": "/proc"},
        "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        "20 columns": {"COLUMNS": "20", "TERM": "dumb"},
        "without asserts": {"PYTHONOPTIMIZE": "2"},
    }
    bad = []
    for name, more in cases.items():
        done = subprocess.run(
            [sys.executable, "-m", "dindic", "score", file],
            env={**base, **more}, capture_output=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode or b"Traceback" in done.stderr or not done.stdout:
            bad.append(f"{name}: exit code {done.returncode}, {done.stderr[-200:]!r}")
    for name, redirect in {"closed output": ">&-", "a full device": "> /dev/full"}.items():
        line = f'"{sys.executable}" -m dindic score "{file}" {redirect}'
        done = subprocess.run(["sh", "-c", line], env=base, capture_output=True, check=False)
        if b"Traceback" in done.stderr or done.returncode not in (0, 1):
            bad.append(f"{name}: exit code {done.returncode}, {done.stderr[-200:]!r}")
    words = "no HOME, HOME read-only, C locale, 20 columns, -OO, closed output, full output"
    return {"count": len(cases) + 2, "outcome": words, "bad": bad}


# --- size, numbers --------------------------------------------------------------------------------

SIZES = {
    "npy, 2,000,000 x 16, float32": ("npy", 2_000_000, 16),
    "safetensors, 2,000,000 x 16, float32": ("safetensors", 2_000_000, 16),
    "npz, 2,000,000 x 16, float32": ("npz", 2_000_000, 16),
    "safetensors, 10,000,000 x 2, float32": ("safetensors", 10_000_000, 2),
    "npy, 200 x 20,000, float32": ("npy", 200, 20_000),
}


def _scored(folder, kind):
    from disentangle_indicators import read_encodings, score

    if kind == "npy":
        encodings = read_encodings(mean=folder / "mean.npy", logvar=folder / "logvar.npy")
    else:
        encodings = read_encodings(folder / f"a.{kind}")
    return score(encodings, covariance=False).n


def size(name: str) -> Found:
    """Score a large file in a child."""
    from disentangle_indicators import write_encodings

    kind, n, d = SIZES[name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rng = np.random.default_rng(0)
        mean = rng.standard_normal((n, d), np.float32)
        logvar = np.full((n, d), -1, np.float32)
        if kind == "npy":
            np.save(folder / "mean.npy", mean)
            np.save(folder / "logvar.npy", logvar)
        else:
            write_encodings(folder / f"a.{kind}", mean, logvar=logvar)
        total = mean.nbytes + logvar.nbytes
        del mean, logvar
        said, peak, seconds = in_child(_scored, folder, kind, seconds=600)
    rate = total / 1e9 / max(seconds, 1e-9)
    outcome = f"{total / 1e6:.0f} MB: {seconds:.1f} CPU s, {rate:.2g} GB/s, {peak} MB of memory"
    return {"count": 1, "outcome": outcome, "bad": [] if said == n else [str(said)[:200]]}


def numbers() -> Found:
    """Compare indicators with mpmath; a relative error above 1e-6 of max(1, value) is a fault."""
    from mpmath import mp, mpf

    from disentangle_indicators import Moments, estimate_q_star
    from disentangle_indicators.definitions import (
        kl_posterior_prior_per_latent,
        mutual_information_per_latent,
    )

    mp.dps = 50
    noise = np.random.default_rng(0).normal(size=(40, 2))
    bad, worst, count = [], 0.0, 0
    for dtype in (np.float32, np.float64):
        for v in (1e-12, 1e-6, 1e-2, 1.0, 1e3, 1e6):
            for offset in (0.0, 1.0, 1e3, 1e6, 1e8):
                mean, var = (noise + offset).astype(dtype), np.full((40, 2), v, dtype)
                columns = [
                    ([mpf(float(x)) for x in m], [mpf(float(x)) for x in s])
                    for m, s in zip(mean.T, var.T, strict=True)
                ]
                moments = Moments.of(mean, var)
                q = estimate_q_star(moments=moments)
                for function, exact in (
                    (mutual_information_per_latent, _information),
                    (kl_posterior_prior_per_latent, _kl_prior),
                ):
                    values = np.asarray(function(moments, q))
                    for got, column in zip(values, columns, strict=True):
                        want = float(exact(*column))
                        off = abs(float(got) - want) / max(1.0, abs(want))
                        count, worst = count + 1, max(worst, off)
                        if off > 1e-6:
                            bad.append(
                                f"{dtype.__name__} var {v:g} offset {offset:g}: {got} for {want}"
                            )
    return {"count": count, "outcome": f"relative error at most {worst:.1g}", "bad": bad}


def _kl_prior(mean, var):
    """Definition 1 of a latent: the average KL divergence of its posteriors from the prior."""
    from mpmath import log

    total = sum(m * m + v - 1 - log(v) for m, v in zip(mean, var, strict=True))
    return total / (2 * len(mean))


def _information(mean, var):
    """Definition 3 of a latent: half the log of the second moment, less the average of log var."""
    from mpmath import log

    n = len(mean)
    second = sum(m * m + v for m, v in zip(mean, var, strict=True)) / n
    return (log(second) - sum(map(log, var)) / n) / 2


# --- trust ----------------------------------------------------------------------------------------


class _Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def code() -> Found:
    """Give files that would make a folder if their code ran to commands that read such files."""
    import torch
    from PIL import Image

    bad, tried = [], 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        trap = folder / "trap"
        objects = np.array([[_Trap(trap)]], dtype=object)
        np.savez(folder / "a.npz", allow_pickle=True, mean=objects)
        np.savez(folder / "b.npz", allow_pickle=True, mean=np.eye(3), labels=objects[0])
        np.save(folder / "a.npy", objects, allow_pickle=True)
        for name, zipped in (("a.pt", True), ("a.pth", False), ("a.ckpt", True)):
            values = {"mean": torch.eye(3), "more": _Trap(trap)}
            torch.save(values, folder / name, _use_new_zipfile_serialization=zipped)
        images = folder / "images"
        images.mkdir()
        Image.new("L", (8, 8)).save(images / "a.png")
        (images / "b.png").write_bytes(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n("
            + str(trap).encode()
            + b") (w) file\n"
        )
        files = ("a.npz", "b.npz", "a.npy", "a.pt", "a.pth", "a.ckpt")
        lines = [[verb, folder / f, *more] for f in files for verb, more in (
            ("score", ()), ("convert", (folder / "o.npz",)), ("check", ()), ("axes", ()))]  # fmt: skip
        lines += [["score", folder / "b.npz", "--labels", "labels", "--metrics", "mig"]]
        lines += [
            ["encode", "beta10", "--data", folder / f, "-o", folder / "e.npz"] for f in files
        ]
        lines += [["encode", folder / f, "--data", images, "-o", folder / "e.npz"] for f in files]
        lines += [["encode", "beta10", "--data", images, "-o", folder / "e.npz"]]
        lines += [["score", folder / "b.npz", "--prior-mean", folder / "a.npy"]]
        for words in lines:
            tried += 1
            _found, output = command(*words)
            if trap.exists():
                trap.rmdir()
                bad.append(f"{words[:2]}: the code ran")
            if re.search("weights_only=False|allow_pickle=True", output):
                bad.append(f"{words[:2]}: it advises to load unsafely")
    return {"count": tried, "outcome": "no code ran", "bad": bad}


HOSTILE = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "=1+1",
    r"\input{/etc/passwd}",
    "a|b",
)


def names() -> Found:
    """Put hostile text into names of factors and of files, and look for it in every output."""
    bad, count = [], 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rng = np.random.default_rng(0)
        factors = rng.integers(0, 3, (200, len(HOSTILE)))
        mean = factors + 0.3 * rng.normal(size=factors.shape)
        path = folder / "=1+1<b>\x1b[31m.npz"
        np.savez(
            path, mean=mean, var=np.full(mean.shape, 0.1), factors=factors,
            factor_names=np.array(HOSTILE),
        )  # fmt: skip
        raw = {
            "html": ("<script>alert", "\x1b", "<b>"),
            "markdown": ("<script>", "\x1b", "<b>"),
            "latex": ("\\input{", "\x1b"),
            "csv": ("\n=1+1", ",=1+1", "\x1b"),
            "json": ("\x1b",),
        }
        for form, forbidden in raw.items():
            out = folder / f"o.{form}"
            found, output = command("score", path, "--metrics", "mig", f"--{form}", out, "--quiet")
            text = out.read_text() if out.exists() else ""
            if form == "latex":  # without comments
                text = re.sub(r"^%.*", "%", text, flags=re.MULTILINE)
            if found or not text:
                bad.append(f"{form}: exit code {found}, {output[-200:]}")
            for word in forbidden:
                count += 1
                if word in text:
                    bad.append(f"{form}: {word!r} is not escaped")
        found, output = command("score", path, "--metrics", "mig")
        count += 1
        if "\x1b" in output or found:
            bad.append(f"terminal: exit code {found}, an escape: {chr(27) in output}")
    return {"count": count, "outcome": "all escaped", "bad": bad}
