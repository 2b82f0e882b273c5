"""dindic encode, through real files, and on weights that others trained."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: dindic encode is NOT tested")

from runs import pictures, settings_of_torch

from dindic.encode import _axes, _read
from dindic_models.checkpoint import file_hash, load
from dindic_models.data import open_data, rows, some
from dindic_models.encode import DISTORTION
from disentangle_indicators import read_encodings

SHARED = Path(os.environ.get("DINDIC_DATA", ""))
needs_shared = pytest.mark.skipif(
    not (SHARED / "checkpoints").is_dir(),
    reason="set DINDIC_DATA: that weights of others give THEIR encodings is NOT tested",
)


@pytest.fixture(autouse=True)
def _settings():
    with settings_of_torch():
        yield


@pytest.fixture
def run(folder, dindic):
    """A model trained for one epoch on an archive with factors and labels."""
    factors = np.arange(162).reshape(81, 2) % [5, 7]
    labels = np.arange(81) % 3
    np.savez("images.npz", images=pictures(), factors=factors, labels=labels)
    flags = ["--network", "linear", "--latents", 2, "--epochs", 1, "--seed", 4, "--split-seed", 9]
    dindic("train", "--data", "images.npz", "-o", "run", *flags, "--quiet")
    return "run"


def test_the_test_part_of_the_models_split(dindic, folder, run):
    result = dindic("encode", run, "-o", "x.npz")
    found = read_encodings("x.npz")
    assert result.stdout == ""
    images = "part 'test' of the model's split, 8 of 81 images"
    assert result.stderr.splitlines() == [
        f"note: {open_data('images.npz').source}",
        f"note: {images}",
        "written: x.npz",
        f"distortion: {found.metadata['distortion']}, {DISTORTION}",
        "next: dindic score x.npz",
    ]
    data = open_data("images.npz")
    chosen = rows(data, "test", seed=9)
    model = load(run).model
    with torch.no_grad():
        mean, logvar = model.encode(torch.from_numpy(data.images[chosen] / np.float32(255)))
        var = logvar.exp()
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.var, var, rtol=1e-5)
    np.testing.assert_array_equal(found.factors.to_array(), data.factors[chosen])
    np.testing.assert_array_equal(found.labels, data.labels[chosen])
    said = {
        "data": "array",
        "data_fingerprint": data.fingerprint,
        "model": file_hash(Path(run, "model.safetensors")),
        "images": images,
        "network": "linear",
        "noise": "learned",
        "beta": "1.0",
        "latents": "2",
        "step": "1",
        "seed": "4",
        "split": "paper",
        "split_seed": "9",
        "sigma2": f"{float(model.noise.variance().detach()):.6g}",
    }
    assert said.items() <= found.metadata.items()
    assert not any(str(folder) in value for value in found.metadata.values())


@pytest.mark.parametrize("part", ["train", "validation", "test", "all"])
def test_parts(dindic, run, part):
    dindic("encode", run, "-o", "x.safetensors", "--split", part, "--batch", 7, "--quiet")
    found, data = read_encodings("x.safetensors"), open_data("images.npz")
    chosen = rows(data, part, seed=9)
    np.testing.assert_array_equal(found.factors.to_array(), data.factors[chosen])
    words = f"part {part!r} of the model's split, {len(chosen)} of 81 images"
    assert found.metadata["images"] == words


def test_limit(dindic, run):
    result = dindic("encode", run, "-o", "x.npz", "--split", "all", "--images", 5)
    found = read_encodings("x.npz")
    np.testing.assert_array_equal(found.labels, some(np.arange(81), 5, seed=0) % 3)
    words = "5 random images of: part 'all' of the model's split, 81 of 81 images"
    assert found.metadata["images"] == words
    assert f"note: {words}" in result.stderr
    dindic("encode", run, "-o", "y.npz", "--images", 1000)
    assert read_encodings("y.npz").metadata["images"].startswith("part 'test'")


def test_score_reads_it(dindic, run):
    dindic("encode", run, "-o", "x.safetensors", "--split", "train", "--quiet")
    text = dindic("score", "x.safetensors").stdout
    assert "65 rows x 2 latents" in text
    assert "USED" in text


def test_quiet(dindic, run):
    assert dindic("encode", run, "-o", "x.npz", "--quiet").output == ""


def test_other_images(dindic, run):
    """Of another size, they are resized, and that is said."""
    np.save("large.npy", pictures(30).repeat(2, 2).repeat(2, 3))
    result = dindic("encode", run, "-o", "x.npz", "--data", "large.npy", "--split", "all")
    assert "note: images are resized from 16x16 to the model's 8x8" in result.stderr
    assert "note: these are not the data the model was trained on" in result.stderr
    small = open_data("large.npy", size=8).images[np.arange(30)]
    with torch.no_grad():
        mean, _ = load(run).model.encode(torch.from_numpy(small / np.float32(255)))
    np.testing.assert_allclose(read_encodings("x.npz").mean, mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "Missing option '-o'"),
        (["run", "-o", "x.csv"], "x.csv: encodings end in .npz or .safetensors"),
        (["run", "-o", "images.npz", "--data", "images.npz"], "would overwrite an input"),
        (["gone", "-o", "x.npz"], "no such model: gone"),
        (["images.npz", "-o", "x.npz"], "images.npz is no file of weights"),
        (["run/model.safetensors", "-o", "x.npz"], "name their network, as --network burgess"),
        (["run", "-o", "x.npz", "--network", "burgess"], "this folder names its own"),
        (["run", "-o", "x.npz", "--split", "half"], "'half' is not one of"),
        (["run", "-o", "x.npz", "--images", "0"], "'--images': 0 is not in the range"),
        (["run", "-o", "x.npz", "--batch", "0"], "'--batch': 0 is not in the range"),
        (["run", "-o", "x.npz", "--data", "gone"], "gone: there is no such file or folder"),
        (["run", "-o", "x.npz", "--data", "colour.npy"], "takes images with 1 channel;"),
        (["run", "-o", "x.npz", "--device", "gpu"], "there is no device 'gpu'"),
    ],
)
def test_bad_words(say, run, words, message):
    np.save("colour.npy", pictures(10).repeat(3, 1))
    assert message in say("encode", *words)
    assert not Path("x.npz").exists()


def test_the_images_have_moved(dindic, say, run):
    Path("images.npz").rename("moved.npz")
    missing = "images.npz, the training data of the model, is missing: add --data PATH"
    assert missing in say("encode", run, "-o", "x.npz")
    result = dindic("encode", run, "-o", "x.npz", "--data", "moved.npz")
    assert "not the data" not in result.stderr


def test_a_folder_that_is_not_there(say, run):
    message = say("encode", run, "-o", "missing/x.npz", "--quiet", code=1)
    assert "cannot write: " in message
    assert "missing" in message


def test_an_older_file_is_replaced(dindic, run):
    Path("x.npz").write_text("old")
    dindic("encode", run, "-o", "x.npz", "--quiet")
    assert read_encodings("x.npz").mean.shape == (8, 2)


def test_a_damaged_model_leaves_nothing(say, run, folder):
    weights = Path(run, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])
    before = sorted(path.name for path in folder.iterdir())
    assert "model.safetensors: damaged" in say("encode", run, "-o", "x.npz")
    assert sorted(path.name for path in folder.iterdir()) == before


# ------------------------------------------------------------------------------ weights of others


def foreign(name):
    return str(SHARED / "checkpoints" / name / "model.pt")


@needs_shared
def test_the_official_test_images_of_mnist_give_the_encodings_of_others(dindic, folder):
    words = ["--network", "burgess", "--data", SHARED / "mnist", "--split", "test"]
    result = dindic("encode", foreign("mnist_vae"), *words, "-o", "x.npz")
    assert "note: images are resized from 28x28 to the model's 32x32" in result.stderr
    found = read_encodings("x.npz")
    with np.load(SHARED / "encodings" / "mnist_vae.npz") as theirs:
        np.testing.assert_allclose(found.mean, theirs["mu"], atol=1e-4)
        np.testing.assert_allclose(np.log(found.var), theirs["logvar"], atol=1e-4)
        np.testing.assert_array_equal(found.labels, theirs["labels"])
    about = found.metadata
    assert about["model"] == file_hash(Path(foreign("mnist_vae")))
    assert about["network"] == "burgess"
    assert about["images"] == "part 'test' of the official split, 10000 of 70000 images"
    assert "10000 rows x 10 latents" in dindic("score", "x.npz").stdout


@needs_shared
def test_weights_of_others_need_to_be_told_their_images(say, dindic, folder):
    model = [foreign("mnist_vae"), "-o", "x.npz"]
    assert "as --network burgess" in say("encode", *model)
    message = say("encode", *model, "--network", "burgess")
    assert "the model names no data set: add --data PATH" in message
    assert "burgess network only" in say("encode", *model, "--network", "mnist")
    assert "there is no network 'resnet'" in say("encode", *model, "--network", "resnet")


@needs_shared
def test_sprites_without_official_parts_are_encoded_at_random(dindic, folder):
    words = ["--network", "burgess", "--dataset", "sprites", "--images", 200]
    result = dindic("encode", foreign("dsprites_btcvae"), *words, "-o", "x.safetensors")
    images = "200 random images of: sprites has no test part, so all 737280 images"
    assert f"note: {images}" in result.stderr
    found = read_encodings("x.safetensors")
    assert found.factors.names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert np.ptp(found.factors.to_array(), axis=0).tolist() == [2, 5, 39, 31, 31]


@needs_shared
@pytest.mark.parametrize("n", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_rendered_sprites_give_the_encodings_of_others(tmp_path, n):
    """Of the same factors, though their images were drawn by another program."""
    from dindic_models.data.sprites import SIZES
    from dindic_models.encode import encode
    from dindic_models.feed import Feed
    from dindic_models.openers import open_encoder

    with np.load(SHARED / "encodings" / "dsprites_btcvae.npz") as theirs:
        mean, var, factors = (theirs[name][:n] for name in ("mean", "var", "factors"))
    chosen = np.ravel_multi_index(tuple(factors.T.astype(np.int64)), SIZES)
    model = open_encoder(foreign("dsprites_btcvae"), network="burgess")
    path = encode(tmp_path / "x.npz", model, Feed(open_data(dataset="sprites"), chosen))
    found = read_encodings(path)
    np.testing.assert_array_equal(found.factors, factors)
    used = 0.5 * (mean**2 + var - 1 - np.log(var)).mean(0) > 0.5
    assert 5 <= used.sum() < 10
    for i in np.flatnonzero(used):
        assert np.corrcoef(found.mean[:, i], mean[:, i])[0, 1] > 0.999
        assert np.corrcoef(np.log(found.var[:, i]), np.log(var[:, i]))[0, 1] > 0.99


@pytest.mark.parametrize(("shape", "words"), [((6, 4), ""), ((6, 4, 2, 2), " --layout channels")])
def test_the_next_command_has_the_layout_that_it_needs(tmp_path, shape, words):
    path = tmp_path / "x.npz"
    np.savez(path, mean=np.zeros(shape), logvar=np.zeros(shape))
    assert _axes(_read(path)) == words
