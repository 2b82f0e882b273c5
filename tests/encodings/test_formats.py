"""Every format gives back what it was given, whole and in batches."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as np_arrays

from disentangle_indicators.encodings import FORMATS, read_encodings, write_encodings
from disentangle_indicators.encodings.formats import suffix_of

TO_SCALE = {
    "var": lambda var: var,
    "std": np.sqrt,
    "logvar": np.log,
    "logstd": lambda var: np.log(var) / 2,
}


@pytest.mark.parametrize("scale", TO_SCALE)
def test_every_format_and_scale(any_format, pair, scale):
    mean, var = pair
    path = any_format(mean=mean, **{scale: TO_SCALE[scale](var)})
    encodings = read_encodings(path)
    assert (encodings.n, encodings.d, encodings.scale) == (23, 3, scale)
    assert encodings.format == suffix_of(path)[1:]
    assert encodings.schema == "name"
    np.testing.assert_array_equal(encodings.mean, mean)
    np.testing.assert_allclose(encodings.var, var, rtol=1e-14)


@pytest.mark.parametrize("rows", [1, 5, 23, 1000])
def test_batches_are_the_whole(any_format, pair, rows):
    mean, var = pair
    encodings = read_encodings(any_format(mu=mean, var=var))
    for _ in range(2):
        batches = list(encodings.batches(rows))
        assert [len(m) for m, _ in batches[:-1]] == [rows] * (len(batches) - 1)
        assert 0 < len(batches[-1][0]) <= rows
        np.testing.assert_array_equal(np.concatenate([m for m, _ in batches]), mean)
        np.testing.assert_array_equal(np.concatenate([v for _, v in batches]), var)


def test_means_only(any_format, pair):
    encodings = read_encodings(any_format(z_mean=pair[0]))
    assert encodings.scale == encodings.scale_key == ""
    assert encodings.var is None
    assert all(var is None for _, var in encodings.batches(4))
    assert any("means only" in note for note in encodings.notes)
    assert "no variances" in encodings.source


@pytest.mark.parametrize("scale", TO_SCALE)
def test_pair_of_npy(tmp_path, pair, scale):
    mean, var = pair
    np.save(tmp_path / "a.npy", mean)
    np.save(tmp_path / "b.npy", TO_SCALE[scale](var))
    encodings = read_encodings(mean=tmp_path / "a.npy", **{scale: tmp_path / "b.npy"})
    assert encodings.schema == "flag"
    np.testing.assert_array_equal(encodings.mean, mean)
    np.testing.assert_allclose(encodings.var, var, rtol=1e-14)


@pytest.mark.parametrize("name", ["mean", "path"])
def test_lone_npy_is_means(tmp_path, pair, name):
    path = tmp_path / "a.npy"
    np.save(path, pair[0])
    encodings = read_encodings(path) if name == "path" else read_encodings(mean=path)
    np.testing.assert_array_equal(encodings.mean, pair[0])
    assert encodings.var is None
    assert "logvar=" in encodings.notes[0]


def test_lone_tensor_is_means(tmp_path, pair):
    torch = pytest.importorskip("torch")
    torch.save(torch.from_numpy(pair[0]), tmp_path / "a.pt")
    encodings = read_encodings(tmp_path / "a.pt")
    np.testing.assert_array_equal(encodings.mean, pair[0])
    assert "posterior means" in encodings.notes[0]


@pytest.mark.parametrize("first", [None, "a.npz"])
def test_what_the_arguments_exclude(tmp_path, pair, first):
    np.save(tmp_path / "a.npy", pair[0])
    with pytest.raises(FileNotFoundError if first else ValueError, match=first or "give a path"):
        read_encodings(first, logvar=tmp_path / "a.npy")
    with pytest.raises(ValueError, match="excludes"):
        read_encodings(tmp_path / "a.npy", mean=tmp_path / "a.npy")
    with pytest.raises(ValueError, match="excludes"):
        read_encodings(mean=tmp_path / "a.npy", scale="std")
    with pytest.raises(ValueError, match="one of var"):
        read_encodings(mean=tmp_path / "a.npy", std=tmp_path / "a.npy", var=tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", a=pair[0], b=pair[1])
    with pytest.raises(ValueError, match=r"a\.npz: .* one array, .*'a' .*mean_key= and"):
        read_encodings(mean=tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("dtype", "out"),
    [
        ("<f2", "float32"),
        ("<f4", "float32"),
        (">f4", "float32"),
        (">f8", "float64"),
        ("i4", "float64"),
    ],
)
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_dtypes(tmp_path, dtype, out, kind):
    mean = np.arange(12).reshape(4, 3).astype(dtype)
    if kind == "npz":
        np.savez(tmp_path / "a.npz", mean=mean, logvar=-mean)
        encodings = read_encodings(tmp_path / "a.npz")
    else:
        np.save(tmp_path / "a.npy", mean)
        np.save(tmp_path / "b.npy", -mean)
        encodings = read_encodings(mean=tmp_path / "a.npy", logvar=tmp_path / "b.npy")
    (batch,) = encodings.batches()
    for got in (encodings.mean, batch[0], encodings.var, batch[1]):
        assert got.dtype == out
        assert got.dtype.isnative
    np.testing.assert_array_equal(encodings.mean, np.arange(12).reshape(4, 3))
    np.testing.assert_allclose(encodings.var, np.exp(-encodings.mean), rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_fortran_order(tmp_path, pair, rows, kind):
    mean, var = (np.asfortranarray(a) for a in pair)
    if kind == "npz":
        np.savez(tmp_path / "a.npz", mean=mean, var=var)
        encodings = read_encodings(tmp_path / "a.npz")
    else:
        np.save(tmp_path / "a.npy", mean)
        np.save(tmp_path / "b.npy", var)
        encodings = read_encodings(mean=tmp_path / "a.npy", var=tmp_path / "b.npy")
    np.testing.assert_array_equal(np.concatenate([m for m, _ in encodings.batches(rows)]), mean)
    np.testing.assert_array_equal(np.concatenate([v for _, v in encodings.batches(rows)]), var)


def _bfloat16(values):
    return (np.asarray(values, dtype="<f4").view("<u4") >> 16).astype("<u2")


def test_bfloat16_safetensors(hand_made):
    mean = np.array([[1.5, -2.0], [0.125, 3.0], [7.0, -0.5]], dtype="f4")
    path = hand_made(
        {
            "mean": ("BF16", (3, 2), _bfloat16(mean).tobytes()),
            "logvar": ("BF16", (3, 2), _bfloat16(-mean).tobytes()),
        }
    )
    encodings = read_encodings(path)
    np.testing.assert_array_equal(encodings.mean, mean)
    np.testing.assert_allclose(encodings.var, np.exp(-mean), rtol=1e-6)
    assert [len(m) for m, _ in encodings.batches(2)] == [2, 1]


def test_bfloat16_pt(tmp_path):
    torch = pytest.importorskip("torch")
    mean = torch.tensor([[1.5, -2.0], [0.125, 3.0]])
    torch.save(
        {"mu": mean.bfloat16(), "logvar": torch.nn.Parameter(-mean.half())}, tmp_path / "a.pt"
    )
    encodings = read_encodings(tmp_path / "a.pt")
    np.testing.assert_array_equal(encodings.mean, mean.numpy())
    np.testing.assert_allclose(encodings.var, np.exp(-mean.numpy()), rtol=1e-6)


@pytest.mark.parametrize("kind", ["F32", "F64", "F16"])
def test_safetensors_offsets(hand_made, kind):
    dtype = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[kind]
    mean = np.arange(6).reshape(3, 2).astype(dtype)
    path = hand_made(
        {
            "x": ("U8", (3,), b"abc"),
            "mean": (kind, (3, 2), mean.tobytes()),
            "logvar": (kind, (3, 2), (-mean).tobytes()),
        }
    )
    np.testing.assert_array_equal(read_encodings(path).mean, mean)
    np.testing.assert_allclose(read_encodings(path).var, np.exp(-mean.astype(float)), rtol=1e-6)


def test_safetensors_with_a_dtype_that_cannot_be_read(hand_made):
    path = hand_made({"mean": ("F8_E4M3", (2, 2), b"abcd")})
    with pytest.raises(ValueError, match="'mean' has the dtype F8_E4M3"):
        read_encodings(path)


@pytest.mark.parametrize("suffix", ["npz", "deflated.npz", "npy", "safetensors"])
def test_memory_does_not_grow_with_the_file(tmp_path, suffix):
    mean = np.random.default_rng(0).normal(size=(200_000, 16)).astype("f4")
    if suffix == "npy":
        np.save(tmp_path / "a.npy", mean)
        np.save(tmp_path / "b.npy", mean[::-1])
        encodings = read_encodings(mean=tmp_path / "a.npy", logvar=tmp_path / "b.npy")
    else:
        path = tmp_path / f"a.{suffix}"
        if suffix == "deflated.npz":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, values in (("mean", mean), ("logvar", mean[::-1])):
                    stream = io.BytesIO()
                    np.save(stream, values)
                    archive.writestr(f"{name}.npy", stream.getvalue())
        else:
            write_encodings(path, mean, logvar=mean[::-1].copy())
        encodings = read_encodings(path)
    del mean
    tracemalloc.start()
    total = sum(len(m) for m, _ in encodings.batches(4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 200_000
    assert peak < 4 << 20
    assert max(m.nbytes for m, _ in encodings.batches()) <= 8 << 20


def test_rows_must_be_positive(npz, pair):
    with pytest.raises(ValueError, match="rows must be positive"):
        next(read_encodings(npz(mean=pair[0])).batches(0))


def test_csv_numbers_from_one_dots_and_any_order(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("﻿id,logvar.2,mu2,logvar.1,mu1\na,4,2,3,1\n\nb,8,6,7,5\n", encoding="utf-8")
    encodings = read_encodings(path)
    np.testing.assert_array_equal(encodings.mean, [[1, 2], [5, 6]])
    np.testing.assert_allclose(encodings.var, np.exp([[3, 4], [7, 8]]))
    assert encodings.scale_key == "logvar"


@pytest.mark.parametrize(
    "header", ["mean_0,mean_2", "mean_2,mean_3", "mean_1,mean_01", "mean_0,mean_1,std_1,std_3"]
)
def test_csv_gaps(tmp_path, header):
    path = tmp_path / "a.csv"
    path.write_text(header + "\n" + ",".join("1" for _ in header.split(",")) + "\n")
    with pytest.raises(ValueError, match="without gaps"):
        read_encodings(path)


def test_csv_other_columns_may_have_gaps(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mean_0,donor2,donor7\n1,2,3\n")
    assert read_encodings(path, clusters="donor7").clusters.tolist() == [3]


@settings(max_examples=40, deadline=None)
@given(
    mean=np_arrays("f8", (3, 2), elements=st.floats(-1e6, 1e6)),
    logvar=np_arrays("f8", (3, 2), elements=st.floats(-50, 50)),
)
def test_csv_keeps_every_digit(tmp_path_factory, mean, logvar):
    logvar[0, 0] = mean[0, 0] % 50 + 1e-3
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    rows = [
        ",".join(map(repr, [*m.tolist(), *v.tolist()])) for m, v in zip(mean, logvar, strict=True)
    ]
    path.write_text("\n".join(["mean_0,mean_1,logvar_0,logvar_1", *rows]))
    encodings = read_encodings(path)
    np.testing.assert_array_equal(encodings.mean, mean)
    np.testing.assert_array_equal(encodings.var, np.exp(logvar))


def test_formats_are_complete():
    assert set(FORMATS) == {
        *(".npz", ".npy", ".safetensors", ".pt", ".pth", ".ckpt", ".csv", ".tsv"),
        *(".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
        *(".h5", ".hdf5", ".h5ad", ".h5mu", ".zarr", ".zarr.zip", ".mat"),
        *(".parquet", ".pq", ".feather", ".arrow", ".arrows", ".ipc"),
    }
    assert all(callable(module.read) for module in FORMATS.values())


def test_csv_spaces_and_quotes(tmp_path):
    (tmp_path / "a.csv").write_text('mean_1, mean_0,"a, b",label\n1, 2,"x\ny",u\n"3",4,"",v\n')
    encodings = read_encodings(tmp_path / "a.csv", labels="label", clusters="a, b")
    np.testing.assert_array_equal(encodings.mean, [[2, 1], [4, 3]])
    assert encodings.labels.tolist() == ["u", "v"]
    assert encodings.clusters.tolist() == ["x\ny", ""]


def test_float8_pt(tmp_path):
    torch = pytest.importorskip("torch")
    mean = torch.tensor([[1.5, -2.0], [0.125, 3.0]])
    torch.save(mean.to(torch.float8_e5m2), tmp_path / "a.pt")
    np.testing.assert_array_equal(read_encodings(tmp_path / "a.pt").mean, mean.numpy())
