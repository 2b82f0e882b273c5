"""Damaged and hostile files end in a ValueError that names the file, and run nothing."""

import io
import json
import os
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from savers import SAVERS

from disentangle_indicators.encodings import FORMATS, _stored, read_encodings, write_encodings


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"garbage", b"\x80\x02}q\x00.", bytes(range(256)) * 9]
)
def test_garbage(tmp_path, suffix, content):
    if suffix.startswith(".pt"):
        pytest.importorskip("torch")
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"garbage\."):
        read_encodings(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_truncated(any_format, pair, keep):
    path = any_format(mean=pair[0], var=pair[1])
    data = path.read_bytes()
    size = int(len(data) * keep)
    if path.suffix in (".csv", ".tsv"):
        size = data.rindex(b"," if path.suffix == ".csv" else b"\t", 0, size)
    path.write_bytes(data[:size])
    with pytest.raises(ValueError, match=r"any\."):
        list(read_encodings(path).batches(5))


def test_truncated_npy(tmp_path, pair):
    np.save(tmp_path / "a.npy", pair[0])
    data = (tmp_path / "a.npy").read_bytes()
    for size in (3, 8, 60, 130, len(data) - 1):
        (tmp_path / "a.npy").write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"a\.npy"):
            read_encodings(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt", "h5", "zarr.zip", "mat"])
def test_more_arrays_than_encodings_have_are_not_looked_at(tmp_path, monkeypatch, kind):
    pytest.importorskip({"pt": "torch", "h5": "h5py", "zarr.zip": "zarr"}.get(kind, "numpy"))
    monkeypatch.setattr(_stored, "ARRAYS", 5)
    path = tmp_path / f"a.{kind}"
    SAVERS[kind](path, {f"t{i}": np.zeros((3, 2)) for i in range(6)})
    with pytest.raises(
        ValueError, match=f"a.{kind}: the file has 6 arrays and groups, and at most 5"
    ):
        read_encodings(path)


def test_a_row_that_inflates_to_far_more_than_the_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_stored, "WHOLE", 100_000)
    path = tmp_path / "a.npz"
    noise = np.random.default_rng(0).normal(size=(2, 130_000))
    for mean in (np.zeros((2, 12_000)), noise):
        np.savez_compressed(path, mean=mean, logvar=np.full(mean.shape, -1.0))
        assert read_encodings(path).d == mean.shape[1]
    np.savez_compressed(path, mean=np.zeros(noise.shape), logvar=np.full(noise.shape, -1.0))
    with pytest.raises(ValueError, match=r"a\.npz: 'a row of mean' announces 0\.00104 GB"):
        read_encodings(path)


OTHERS = ("h5", "zarr.zip", "parquet", "feather", "mat")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["npz", "deflated", "safetensors", "npy", "csv", "pt", *OTHERS])
def test_flipped_bytes_raise_nothing_else(tmp_path_factory, kind, data):
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("flip")
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(6, 2)), rng.uniform(0.5, 1, size=(6, 2))
    path = folder / f"a.{'npz' if kind == 'deflated' else kind}"
    if kind == "safetensors":
        save_file({"mean": mean, "var": var}, path)
    elif kind in OTHERS:
        SAVERS[kind](path, {"mean": mean, "var": var})
    elif kind == "npy":
        np.save(path, mean)
    elif kind == "pt":
        torch = pytest.importorskip("torch")
        torch.save({"mean": torch.from_numpy(mean), "var": torch.from_numpy(var)}, path)
    elif kind == "csv":
        path.write_text("mean_0,mean_1\n" + "\n".join(f"{a},{b}" for a, b in mean))
    else:
        (np.savez if kind == "npz" else np.savez_compressed)(path, mean=mean, var=var)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with suppress(ValueError):
        for _ in read_encodings(path).batches(4):
            pass


def test_a_damaged_member_is_noticed(tmp_path, pair):
    path = tmp_path / "a.npz"
    np.savez(path, mean=pair[0], var=pair[1])
    raw = bytearray(path.read_bytes())
    position = raw.index(pair[0].tobytes()[-16:])
    raw[position] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="CRC"):
        list(read_encodings(path).batches(5))
    with pytest.raises(ValueError, match="CRC"):
        _ = read_encodings(path).mean


@pytest.mark.parametrize("shape", ["(9999999, 3)", "(-1, 3)", "(3,", "'x'", "(2**70, 3)"])
def test_headers_that_lie(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
    member = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header + b"\n" + bytes(24)
    (tmp_path / "a.npy").write_bytes(member)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("mean.npy", member)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=name):
            read_encodings(tmp_path / name)


def test_future_npy_version(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x03\x00" + bytes(200))
    with pytest.raises(ValueError, match="version"):
        read_encodings(tmp_path / "a.npy")


class Payload:
    """Unpickling this would touch a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_objects_in_numpy_files_are_refused(tmp_path):
    trap = tmp_path / "trap"
    objects = np.array([[Payload(trap)]], dtype=object)
    np.savez(tmp_path / "a.npz", allow_pickle=True, mean=objects)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(ValueError, match=f"{name}.*'mean' holds Python objects; re-save"):
            read_encodings(tmp_path / name)
    assert not trap.exists()


def test_an_object_array_that_is_not_needed(tmp_path, pair):
    np.savez(tmp_path / "a.npz", allow_pickle=True, mean=pair[0], other=np.array([{}]))
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.npz").mean, pair[0])
    with pytest.raises(ValueError, match="'other' holds Python objects"):
        read_encodings(tmp_path / "a.npz", labels="other")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pt_file_does_not_run(tmp_path, pair, zipped):
    torch = pytest.importorskip("torch")
    trap = tmp_path / "trap"
    values = {"mean": torch.from_numpy(pair[0]), "config": Payload(trap)}
    torch.save(values, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a\.pt.*code or objects.*torch\.save\(\{\"mean\": mean"):
        read_encodings(tmp_path / "a.pt")
    assert not trap.exists()


@pytest.mark.parametrize("values", [3, {"a": 1}.keys, [], {}])
def test_pt_files_without_tensors(tmp_path, values):
    torch = pytest.importorskip("torch")
    values = "text" if callable(values) else values
    torch.save(values, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="no tensors"):
        read_encodings(tmp_path / "a.pt")


def test_a_tensor_that_repeats_a_few_numbers_for_gigabytes_is_refused(tmp_path, pair):
    torch = pytest.importorskip("torch")
    wide = torch.zeros(1, 3).expand(10**9, 3)
    torch.save({"mean": wide, "var": wide}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="announces 12 GB, and the file has"):
        read_encodings(tmp_path / "a.pt")
    mean, var = torch.from_numpy(pair[0]), torch.full((1, 1), 0.5).expand(*pair[0].shape)
    torch.save({"mean": mean, "var": var}, tmp_path / "b.pt")
    assert np.all(read_encodings(tmp_path / "b.pt").var == 0.5)


def test_torch_missing(tmp_path, monkeypatch):
    (tmp_path / "a.pt").write_bytes(b"PK")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ValueError, match=r"needs torch \(pip install"):
        read_encodings(tmp_path / "a.pt")


def test_unknown_suffix_and_missing_file(tmp_path):
    (tmp_path / "a.h6").touch()
    with pytest.raises(
        ValueError, match=r"\.npz, \.npy, \.safetensors, \.pt, \.pth, \.ckpt, \.csv, \.tsv"
    ):
        read_encodings(tmp_path / "a.h6")
    for path in ("none.npz", "none.h6"):
        with pytest.raises(FileNotFoundError, match=path):
            read_encodings(tmp_path / path)
    with pytest.raises(FileNotFoundError, match=r"none\.npy"):
        read_encodings(mean=tmp_path / "none.npy")


def test_encrypted_and_nested_archives(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 2)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("mean.npy", stream.getvalue())
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.npz.*encrypted"):
        read_encodings(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mean_0,mean_1\n1,2\n3\n", "line 3 has 1 of 2 fields"),
        ("mean_0,mean_1\n1,2,3\n", "line 2 has 3 of 2 fields"),
        ("mean_0,mean_0\n1,2\n", "'mean_0' is there twice"),
        ("mean_0\nred\n", "red"),
        ("mean_0\n", "no rows"),
        ('mean_0\n"1\n', "end of"),
    ],
)
def test_damaged_tables(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv.*{words}"):
        list(read_encodings(tmp_path / "a.csv").batches())


def test_text_that_is_not_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"mean_0,\xff\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv"):
        read_encodings(tmp_path / "a.csv")


def test_an_offset_before_the_start_of_the_archive(tmp_path, pair):
    np.savez(tmp_path / "a.npz", mean=pair[0])
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    position = raw.index(b"PK\x05\x06") + 16
    raw[position : position + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.npz.*damaged"):
        read_encodings(tmp_path / "a.npz")


def test_a_flipped_bit_in_our_metadata_is_refused(tmp_path):
    """The clusters of a file that is not recognised as ours any more would vanish silently."""
    path = tmp_path / "a.npz"
    mean = np.random.default_rng(0).normal(size=(40, 2))
    long = {"note": "x" * 5000}
    write_encodings(path, mean, var=np.ones((40, 2)), clusters=np.arange(40) // 2, metadata=long)
    data = bytearray(path.read_bytes())
    at = data.rindex("x".encode("utf-32-le") * 100)
    data[at + 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged|CRC"):
        read_encodings(path)


def test_a_bug_in_reading_factors_is_not_called_damage(tmp_path, monkeypatch):
    from disentangle_indicators.encodings import _read

    path = tmp_path / "a.npz"
    write_encodings(path, np.eye(3), var=np.ones((3, 3)), factors=[0, 1, 2])

    def broken(*arguments, **options):
        raise AttributeError("a bug")

    monkeypatch.setattr(_read, "as_table", broken)
    with pytest.raises(AttributeError, match="a bug"):
        read_encodings(path)


@pytest.fixture
def ours(tmp_path):
    """Write a file of ours with everything that can go with the rows, and return it with what it says."""

    def write(suffix):
        path = tmp_path / f"ours{suffix}"
        mean = np.random.default_rng(0).normal(size=(4, 2)).astype("f4")
        write_encodings(
            path,
            mean,
            var=np.full_like(mean, 0.5),
            clusters=np.array([0, 0, 1, 1]),
            factors=np.array([[0, 1], [1, 0], [0, 0], [2, 1]]),
            factor_names=["a", "b"],
            labels=np.arange(4),
        )
        return path, _all_of(path)

    return write


def _all_of(path):
    """Return what a file says, in a form that can be compared."""
    e = read_encodings(path)
    rows = (e.mean.tobytes(), e.var.tobytes(), e.clusters.tolist(), e.labels.tolist())
    return rows, e.factors.values.tolist(), e.factors.names, e.factors.kinds, e.schema


def _flipped(path, bits):
    """Write the file anew for each bit, with this bit flipped, and yield the bit."""
    raw = path.read_bytes()
    for bit in bits:
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit


def _last_bits(path, mark):
    """Return the bits from the last time on that these bytes occur."""
    raw = path.read_bytes()
    return range(8 * raw.rindex(mark), 8 * len(raw))


def _lies(path, expected):
    """Whether a file is read, but not as what it was written as, or is refused without its name."""
    try:
        return _all_of(path) != expected
    except ValueError as error:
        return path.name not in str(error)


def test_no_flipped_bit_of_a_directory_drops_an_array(ours):
    """No checksum covers the directory of an archive, which has the name of each member."""
    path, expected = ours(".npz")
    bits = _last_bits(path, b"factors.npyPK")
    assert [bit for bit in _flipped(path, bits) if _lies(path, expected)] == []


def test_no_flipped_bit_of_a_header_drops_an_array(ours):
    path, expected = ours(".safetensors")
    end = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert [bit for bit in _flipped(path, range(0, 8 * end, 3)) if _lies(path, expected)] == []


@pytest.mark.slow
def test_no_flipped_bit_of_an_archive_changes_anything(ours):
    """Every third bit, which has each place in a byte; all of them were tried once."""
    path, expected = ours(".npz")
    bits = range(0, 8 * path.stat().st_size, 3)
    assert [bit for bit in _flipped(path, bits) if _lies(path, expected)] == []


def test_a_header_without_a_checksum_is_read(hand_made, pair):
    tensors = {"mean": ("F64", (23, 3), pair[0].tobytes())}
    assert read_encodings(hand_made(tensors)).schema == "name"
    ours = {"format": "dindic.encodings/1", "scale": ""}
    assert read_encodings(hand_made(tensors, ours)).schema == "native"


def test_another_version_of_our_format_is_refused(hand_made, pair):
    path = hand_made(
        {"mean": ("F64", (23, 3), pair[0].tobytes())}, {"format": "dindic.encodings/2"}
    )
    with pytest.raises(ValueError, match="the format dindic.encodings/2, and this version reads"):
        read_encodings(path)


def test_the_checksum_does_not_reach_the_metadata(ours):
    assert set(read_encodings(ours(".safetensors")[0]).metadata) == {
        *("format", "scale", "factor_names"),
    }


def test_metadata_that_are_cut_short_are_refused(tmp_path):
    """A shorter text than the member holds would end before the checksum, and be no JSON."""
    path = tmp_path / "a.npz"
    np.savez(path, mean=np.eye(3), metadata=np.array("x" * 5120))
    raw = path.read_bytes()
    assert raw.count(b"'<U5120'") == 1
    path.write_bytes(raw.replace(b"'<U5120'", b"'<U1120'"))
    with pytest.raises(ValueError, match=r"a\.npz.*'metadata' is damaged"):
        read_encodings(path)


def test_a_second_array_in_an_npy_file_is_refused(tmp_path, pair):
    with open(tmp_path / "a.npy", "wb") as stream:
        np.save(stream, pair[0])
        np.save(stream, pair[1])
    with pytest.raises(ValueError, match=r"a\.npy: .*save each to its own"):
        read_encodings(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(), (23,), (3,), (23, 1)])
def test_a_scale_of_ours_of_another_shape_is_damage(hand_made, pair, shape):
    raw = {
        "mean": ("F64", (23, 3), pair[0].tobytes()),
        "logvar": ("F64", shape, bytes(8 * int(np.prod(shape)))),
    }
    path = hand_made(raw, {"format": "dindic.encodings/1", "scale": "logvar"})
    with pytest.raises(ValueError, match=r"hand\.safetensors: the file is damaged: .*'logvar'"):
        read_encodings(path)


def test_too_little_memory_is_no_damage(tmp_path, pair, monkeypatch):
    from disentangle_indicators.encodings.formats import npz

    def full(*arguments, **options):
        raise MemoryError("Unable to allocate 305. MiB")

    np.savez(tmp_path / "a.npz", mean=np.asfortranarray(pair[0]), var=pair[1])
    monkeypatch.setattr(npz.npy_format, "read_array", full)
    with pytest.raises(MemoryError, match=r"a\.npz: there is not enough memory .*305\. MiB"):
        read_encodings(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_ten_gigabytes_of_nothing_are_read_in_blocks(tmp_path, kind):
    """The file is sparse: its numbers take no place on the disk, and all of them none in memory."""
    shape, path = (20_000_000, 64), tmp_path / f"a.{kind}"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    size = 8 * shape[0] * shape[1]
    text = header.getvalue()
    if kind == "safetensors":
        entry = {"mean": {"dtype": "F64", "shape": list(shape), "data_offsets": [0, size]}}
        text = json.dumps(entry).encode()
        text = len(text).to_bytes(8, "little") + text
    path.write_bytes(text)
    os.truncate(path, len(text) + size)
    encodings = read_encodings(path)
    tracemalloc.start()
    try:
        mean, _ = next(iter(encodings.batches(1000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert mean.shape == (1000, 64)
    assert peak < 16 << 20
