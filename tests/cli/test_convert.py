"""dindic convert, through real files."""

import gc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import TO_SCALE

from disentangle_indicators import read_encodings

SUFFIXES = [".npz", ".safetensors", ".h5", ".zarr.zip", ".parquet"]


def same(path, mean, var):
    encoded = read_encodings(path)
    assert encoded.scale == "logvar"
    assert encoded.schema == "native"
    np.testing.assert_array_equal(encoded.mean, mean)
    np.testing.assert_allclose(encoded.var, var, rtol=1e-14)
    return encoded


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back(dindic, good, pair, suffix):
    result = dindic("convert", good, f"out{suffix}")
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "mean from 'mean', variance = 'var' (schema: names), 80 rows x 4 latents",
        f"written: out{suffix}",
    ]
    same(f"out{suffix}", *pair)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_there_and_back(dindic, good, pair, suffix):
    dindic("convert", good, f"a{suffix}")
    dindic("convert", f"a{suffix}", "b.npz")
    dindic("convert", "b.npz", f"c{suffix}")
    same(f"c{suffix}", *pair)


def test_a_file_onto_itself(dindic, good, pair):
    dindic("convert", good, good)
    same(good, *pair)


@pytest.mark.parametrize("scale", TO_SCALE)
def test_npy_pairs(dindic, folder, pair, scale):
    np.save("mean.npy", pair[0])
    np.save("scale.npy", TO_SCALE[scale](pair[1]))
    dindic("convert", "--mean", "mean.npy", f"--{scale}", "scale.npy", "out.safetensors")
    same("out.safetensors", *pair)


def test_flags_name_keys_and_convention(dindic, npz, pair):
    path = npz(a=pair[0], b=np.sqrt(pair[1]))
    dindic("convert", path, "out.npz", "--mean-key", "a", "--scale-key", "b", "--scale", "std")
    same("out.npz", *pair)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_means_only(dindic, npz, pair, suffix):
    result = dindic("convert", npz(mean=pair[0]), f"out{suffix}")
    assert "note: the file holds no scale: means only" in result.stderr
    encoded = read_encodings(f"out{suffix}")
    assert encoded.scale == ""
    np.testing.assert_array_equal(encoded.mean, pair[0])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_factors_names_and_labels_come_along(dindic, npz, pair, suffix):
    factors, labels = np.arange(160).reshape(80, 2), np.arange(80) % 7
    path = npz(mean=pair[0], var=pair[1], g=factors, y=labels)
    words = ["--factors", "g", "--factor-names", "size,hue", "--labels", "y"]
    dindic("convert", path, f"out{suffix}", *words)
    encoded = same(f"out{suffix}", *pair)
    np.testing.assert_array_equal(encoded.factors.to_array(), factors)
    np.testing.assert_array_equal(encoded.labels, labels)
    assert encoded.factors.names == ("size", "hue")


@pytest.mark.parametrize(("layout", "shape"), [("channels", (80, 4)), ("flatten", (20, 16))])
def test_layout(dindic, npz, pair, layout, shape):
    path = npz(mean=pair[0].reshape(20, 4, 2, 2), var=pair[1].reshape(20, 4, 2, 2))
    dindic("convert", path, "out.npz", "--layout", layout)
    encoded = read_encodings("out.npz")
    assert encoded.mean.shape == shape
    first = np.stack([encoded.mean[0, :4], encoded.var[0, :4]])
    with np.load(path) as source:
        expected = [source[k][0, :, 0, 0] for k in ("mean", "var")]
        if layout == "flatten":
            expected = [source[k][0, 0].ravel() for k in ("mean", "var")]
    np.testing.assert_allclose(first, expected, rtol=1e-14)


def test_quiet(dindic, npz, pair):
    result = dindic("convert", npz(mean=pair[0]), "out.npz", "--quiet")
    assert result.output == ""
    assert Path("out.npz").is_file()


BAD = {
    "nan in mean": ({"mean": {(3, 1): np.nan}}, "mean must be finite; mean[3, 1] = nan"),
    "inf in mean": ({"mean": {(3, 1): np.inf}}, "mean must be finite; mean[3, 1] = inf"),
    "nan in var": ({"var": {(3, 1): np.nan}}, "var must be finite; var[3, 1] = nan"),
    "negative var": ({"var": {(3, 1): -0.2}}, "var[3, 1] = -0.2"),
    "zero var": ({"var": {(3, 1): 0.0}}, "var[3, 1] = 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_numbers_write_nothing(say, npz, pair, folder, case):
    changes, message = BAD[case]
    arrays = {"mean": pair[0].copy(), "var": pair[1].copy()}
    for name, entries in changes.items():
        for where, value in entries.items():
            arrays[name][where] = value
    Path("out.npz").write_text("old")
    assert message in say("convert", npz(**arrays), "out.npz")
    assert Path("out.npz").read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["encodings.npz", "out.npz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Error: "),
        (["good.npz"], "Error: "),
        (["good.npz", "out.csv"], "out.csv: encodings are written to .npz or .safetensors"),
        (["good.npz", "out"], "out: encodings are written to .npz or .safetensors"),
        (["missing.npz", "out.npz"], "missing.npz"),
        (["good.npz", "out.npz", "--mean", "good.npz"], "give FILE and OUT, or --mean"),
        (["good.npz", "out.npz", "--scale", "sigma"], "'sigma' is not one of"),
        (["good.npz", "out.npz", "--mean-key", "nope"], "--mean-key nope is not in the file"),
        (["good.npz", "out.npz", "--factor-names", "a"], "factor_names"),
        (["good.npz", "out.npz", "--labels", "nope"], "'nope' is neither a key nor a file"),
    ],
)
def test_bad_words(say, good, words, message):
    assert message in say("convert", *words)
    assert not Path("out.npz").exists()


def test_an_ambiguous_scale_shows_the_flag(say, npz, pair):
    message = say("convert", npz(mean=pair[0], sigma=pair[1]), "out.npz")
    assert "'sigma'" in message
    assert "add --scale var|std|logvar|logstd" in message


def test_text_labels_need_npz(say, dindic, npz, pair):
    labels = np.array(["cat", "dog"] * 40)
    path = npz(mean=pair[0], var=pair[1], labels=labels)
    assert "labels holds text" in say("convert", path, "out.safetensors")
    assert not Path("out.safetensors").exists()
    dindic("convert", path, "out.npz")
    np.testing.assert_array_equal(read_encodings("out.npz").labels, labels)


def test_a_folder_that_is_not_there_is_named(shell, good):
    done = shell("convert", good, "missing/out.npz")
    assert done.returncode in (1, 2)
    assert "missing/out.npz" in done.stderr
    assert ".tmp" not in done.stderr


def test_a_failed_write_keeps_the_old_file(say, good, folder, monkeypatch):
    Path("out.npz").write_text("old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert "No space left on device" in say("convert", good, "out.npz", code=1)
    assert Path("out.npz").read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["good.npz", "out.npz"]


def test_clusters_of_images_are_kept(dindic, npz):
    rng = np.random.default_rng(0)
    path = npz(mean=rng.normal(size=(6, 3, 2, 2)), logvar=rng.normal(size=(6, 3, 2, 2)))
    for target in ("out.npz", "out.safetensors"):
        dindic("convert", path, target, "--layout", "channels")
        encoded = read_encodings(target)
        assert encoded.clusters.tolist() == np.repeat(np.arange(6), 4).tolist()


def test_log_variances_pass_through_to_the_bit(dindic, npz):
    logvar = np.random.default_rng(0).normal(-30, 20, size=(9, 3)).astype(np.float32)
    path = npz(mean=np.zeros((9, 3), np.float32), logvar=logvar)
    dindic("convert", path, "out.npz")
    assert np.array_equal(np.load("out.npz")["logvar"], logvar)


@pytest.mark.parametrize("target", ["out.npz", "out.safetensors"])
def test_a_target_that_is_a_folder(say, good, folder, target):
    (folder / target).mkdir()
    message = say("convert", good, target, code=1)
    assert message.startswith("Error: cannot write: ")
    assert target in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device to write to")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("target", ["out.npz", "out.safetensors"])
def test_a_full_device(say, good, folder, target):
    (folder / target).symlink_to("/dev/full")
    message = say("convert", good, target, code=1)
    assert message == f"Error: cannot write: [Errno 28] No space left on device: '{target}'"
    gc.collect()  # numpy 2.0 leaves its archive open, which complains when it goes


def test_an_input_that_may_not_be_read(say, dindic, good, denied):
    dindic("convert", good, "in.safetensors", "--quiet")
    for name in (good, "in.safetensors"):
        with denied(name):
            message = say("convert", name, "out.npz")
        assert message == f"Error: {name}: permission denied"


def test_text_factors_through_all_formats(dindic, npz, pair):
    """From AnnData, which names its own encoding in attributes, and back."""
    kinds = np.array(["a", "b", "", "d"])[np.arange(80) % 4]
    path = npz(mean=pair[0], var=pair[1], kind=kinds, batch=np.arange(80) % 3)
    dindic("convert", path, "a.h5ad", "--factors", "kind,batch")
    names = ["a.h5ad", "b.zarr.zip", "c.parquet", "d.h5", "e.safetensors", "f.npz"]
    dindic("convert", *names[:2], "--factors", "kind,batch")
    for source, target in pairwise(names[1:]):
        dindic("convert", source, target)
    found = read_encodings("f.npz")
    np.testing.assert_array_equal(found.mean, pair[0])
    np.testing.assert_allclose(found.var, pair[1], rtol=1e-13)
    assert found.factors.names == ("kind", "batch")
    assert found.factors.column(0).tolist() == kinds.tolist()
    assert found.factors.column(1).tolist() == (np.arange(80) % 3).tolist()
