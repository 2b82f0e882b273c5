"""Time of the sums over encodings in each format, against reading alone with the format's own library.

    OMP_NUM_THREADS=1 python benchmarks/reading.py [N] [D]

prints for each format the CPU seconds of the library's own read of both arrays, of the sums over the same arrays in
memory, of dindic's sums out of the file, their ratio, and the peak of the memory of dindic (on Linux).
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 1 << 16


def npz(path):
    with np.load(path) as archive:
        return archive["mean"], archive["logvar"]


def safetensors(path):
    from safetensors.numpy import load_file

    arrays = load_file(path)
    return arrays["mean"], arrays["logvar"]


def hdf5(path):
    import h5py

    with h5py.File(path) as root:
        return root["mean"][()], root["logvar"][()]


def anndata(path):
    import h5py

    with h5py.File(path) as root:
        return root["obsm/X_latent_qzm"][()], root["obsm/X_latent_qzv"][()]


def zarr(path):
    import zarr

    with zarr.storage.ZipStore(path, mode="r") as store:
        root = zarr.open_group(store, mode="r")
        return root["mean"][:], root["logvar"][:]


def parquet(path):
    from pyarrow import parquet

    table = parquet.read_table(path)
    columns = [np.stack([table[name].to_numpy() for name in table.column_names if name.startswith(key)])
               for key in ("mean", "logvar")]  # fmt: skip
    return columns[0].T, columns[1].T


def npy(path):
    return np.load(path), np.load(path.with_name("logvar.npy"))


READERS = {
    ".npy": npy,
    ".npz": npz,
    ".safetensors": safetensors,
    ".h5": hdf5,
    ".h5ad": anndata,
    ".zarr.zip": zarr,
    ".parquet": parquet,
}


def measure(suffix, path, what):
    """Print the seconds of one step, and the peak of the memory, in MB."""
    from disentangle_indicators import read_encodings
    from disentangle_indicators.encodings import Encodings

    path = Path(path)
    beside = {"logvar": path.with_name("logvar.npy")} if suffix == ".npy" else {}

    if what == "sums":
        arrays = READERS[suffix](path)
    started = time.process_time()
    if what == "library":
        READERS[suffix](path)
    elif what == "sums":
        kind = "var" if suffix == ".h5ad" else "logvar"
        Encodings.of(arrays[0], **{kind: arrays[1]}).summary()
    else:
        read_encodings(path, **beside).summary()
    seconds = time.process_time() - started
    print(seconds, peak())


def peak():
    """Return the greatest resident memory of this process so far, in MB; nan off Linux."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def main(n, d):
    from disentangle_indicators import write_encodings

    rng = np.random.default_rng(0)
    mean = rng.normal(size=(n, d)).astype("f4")
    logvar = rng.normal(-1, 0.1, size=(n, d)).astype("f4")
    print(
        f"{n} x {d}, float32\nformat        library   sums   dindic   dindic/(library + sums)   MB"
    )
    with tempfile.TemporaryDirectory() as folder:
        for suffix in READERS:
            path = Path(folder, f"a{suffix}")
            if suffix == ".npy":
                np.save(path, mean)
                np.save(path.with_name("logvar.npy"), logvar)
            else:
                write_encodings(path, mean, logvar=logvar)
            found = {}
            for what in ("library", "sums", "dindic"):
                command = [sys.executable, __file__, "measure", suffix, str(path), what]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[what] = [float(word) for word in done.stdout.split()]
            library, sums, ours = (found[what][0] for what in ("library", "sums", "dindic"))
            ratio = ours / (library + sums)
            print(
                f"{suffix:12s} {library:8.2f} {sums:6.2f} {ours:8.2f} {ratio:15.2f} {found['dindic'][1]:14.0f}"
            )
            path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        main(*(int(word) for word in sys.argv[1:] or ("1000000", "64")))
