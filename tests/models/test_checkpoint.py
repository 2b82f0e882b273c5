"""Checkpoints: every bit comes back, no code runs, and any damage is a ValueError with the file."""

import errno
import json
import pickle
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dindic_models import checkpoint
from dindic_models.checkpoint import (
    CONFIG,
    FORMAT,
    MODEL,
    file_hash,
    load,
    read_tensors,
    save_config,
    save_model,
    step_of,
    write_tensors,
)
from dindic_models.config import Config, make_model
from dindic_models.networks import NETWORKS, burgess
from dindic_models.noise import NOISES
from dindic_models.openers import open_encoder

SHAPE = {"celeba": (3, 16, 16), "burgess": (1, 32, 32)}
DATA = {"name": "mnist", "sha256": "0" * 64, "n": 60000}


def save(folder, config, shape, seed=0):
    """A model of the configuration, with other values in every weight and every statistic."""
    model = make_model(config, shape)
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        tensor.copy_(0.1 + torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype))
    folder.mkdir(exist_ok=True)
    save_config(folder, config, shape, DATA)
    save_model(folder, model)
    return model


def tensors_of(folder):
    """Copies: the originals are a map of the file, which the test is about to overwrite."""
    return {name: tensor.clone() for name, tensor in load_file(folder / MODEL).items()}


@pytest.fixture
def folder(tmp_path):
    """A small trained model."""
    save(tmp_path / "run", Config(network="linear", latents=2, noise="mog"), (1, 3, 3))
    return tmp_path / "run"


@pytest.fixture(scope="module")
def weights():
    """The state_dict of a Burgess network, as others name it."""
    encoder, decoder = burgess((1, 32, 32), 3)
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    return state | {f"decoder.{k}": v for k, v in decoder.state_dict().items()}


def refuse(path, *words, network=None, file=None):
    """Loading ends with a ValueError that names the file and says all words."""
    with pytest.raises(ValueError, match=".") as error:
        load(path) if network is None else open_encoder(path, network=network)
    assert type(error.value) is ValueError
    for word in (str(file or path), *words):
        assert word in str(error.value), f"{word!r} is not in {error.value}"


@pytest.mark.parametrize(("network", "noise"), [*product(NETWORKS, NOISES)])
def test_every_bit_comes_back(tmp_path, network, noise):
    shape = SHAPE.get(network, (1, 9, 7))
    for precision, closed_form in (("float32", False), ("float64", noise == "learned")):
        config = Config(network=network, noise=noise, latents=3, activation="sigmoid", beta=4)
        config = Config(**config.to_dict() | {"precision": precision, "closed_form": closed_form})
        model = save(tmp_path / "run", config, shape)
        loaded = load(tmp_path / "run")
        assert loaded.config == config
        assert loaded.data == DATA
        assert loaded.path == tmp_path / "run"
        assert loaded.sha256 == file_hash(tmp_path / "run" / MODEL)
        assert not loaded.model.training
        assert loaded.model.shape == shape
        ours, theirs = model.state_dict(), loaded.model.state_dict()
        assert list(ours) == list(theirs)
        for name, tensor in ours.items():
            assert tensor.dtype == theirs[name].dtype
            assert tensor.numpy().tobytes() == theirs[name].numpy().tobytes()
        assert [p.name for p in sorted((tmp_path / "run").iterdir())] == [CONFIG, MODEL]


def test_loading_draws_no_numbers(folder):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    load(folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_hash_is_that_of_the_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_hash(tmp_path / "abc") == f"sha256:{known}"


def test_views_and_shared_tensors_are_written(tmp_path):
    x = torch.arange(12.0).reshape(3, 4)
    write_tensors(tmp_path / "t.safetensors", {"a": x.T, "b": x[:, 1], "c": x}, {"k": "v"})
    tensors, metadata = read_tensors(tmp_path / "t.safetensors")
    assert metadata == {"k": "v"}
    assert torch.equal(tensors["a"], x.T)
    assert torch.equal(tensors["b"], x[:, 1])
    assert torch.equal(tensors["c"], x)


class TestFolder:
    def test_what_is_missing(self, folder, tmp_path):
        (tmp_path / "empty").mkdir()
        refuse(tmp_path / "empty", "not a trained model", CONFIG)
        (folder / MODEL).unlink()
        refuse(folder, "not a trained model", MODEL)
        with pytest.raises(FileNotFoundError, match="no such model: .*nothing"):
            load(tmp_path / "nothing")

    def test_a_folder_knows_its_network(self, folder):
        refuse(folder, "network= is for files", network="burgess")

    @given(cut=st.floats(0, 1, exclude_max=True))
    def test_truncated_weights(self, tmp_path_factory, cut):
        folder = self.fresh(tmp_path_factory)
        whole = (folder / MODEL).read_bytes()
        (folder / MODEL).write_bytes(whole[: int(cut * len(whole))])
        refuse(folder, "damaged", file=folder / MODEL)

    def fresh(self, factory):
        """The smallest model, as few files are read as often."""
        folder = factory.mktemp("run")
        save(folder, Config(network="linear", latents=1, noise="mog"), (1, 1, 2))
        return folder

    @given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
    def test_any_byte_of_the_weights(self, tmp_path_factory, where, byte):
        """A wrong number looks like any number; anything else is found, and said."""
        self.one_byte(self.fresh(tmp_path_factory), MODEL, where, byte)

    @given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
    def test_any_byte_of_the_settings(self, tmp_path_factory, where, byte):
        self.one_byte(self.fresh(tmp_path_factory), CONFIG, where, byte)

    def one_byte(self, folder, name, where, byte):
        content = bytearray((folder / name).read_bytes())
        content[int(where * len(content))] = byte
        (folder / name).write_bytes(content)
        try:
            loaded = load(folder)
        except ValueError:
            refuse(folder, file=folder / name)
        else:
            assert all(t.isfinite().all() for t in loaded.model.state_dict().values())

    def change(self, folder, **content):
        path = folder / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | content))

    def settings(self, folder, **values):
        config = json.loads((folder / CONFIG).read_text())["config"]
        self.change(folder, config=config | values)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"7",
            b"\xff\xfe\x00",
            b"{}",
            b"[" * 200_000,
            b'{"format": 1}',
        ],
    )
    def test_what_is_no_config(self, folder, content):
        (folder / CONFIG).write_bytes(content)
        refuse(folder, file=folder / CONFIG)

    @pytest.mark.parametrize("format_", ["dindic-model/2", None, 1, [FORMAT]])
    def test_another_format(self, folder, format_):
        self.change(folder, format=format_)
        refuse(folder, "not a model of this package", file=folder / CONFIG)

    @pytest.mark.parametrize(
        "shape",
        [[1, 3], [1, 3, 0], [1, 3, -3], [1, 3, 3.0], [True, 3, 3], "133", None, [1, 3, "3"]],
    )
    def test_what_is_no_shape(self, folder, shape):
        self.change(folder, shape=shape)
        refuse(folder, "shape must be three positive integers", file=folder / CONFIG)

    @pytest.mark.parametrize("content", [{"config": []}, {"data": None}, {"config": "x"}])
    def test_what_is_no_object(self, folder, content):
        self.change(folder, **content)
        refuse(folder, "must be objects", file=folder / CONFIG)

    def test_bad_settings(self, folder):
        self.settings(folder, latent=3)
        refuse(folder, "there is no setting 'latent'; there is latents", file=folder / CONFIG)
        self.change(folder, config={"noise": "mog", "beta": 0})
        refuse(folder, "beta must be positive", "0", file=folder / CONFIG)

    def test_an_image_that_the_network_cannot_take(self, folder):
        self.settings(folder, network="burgess")
        refuse(folder, "32x32 or 64x64, not 3x3", file=folder / CONFIG)

    @pytest.mark.parametrize("latents", [10**12, 10**30])
    def test_a_network_larger_than_memory(self, folder, latents):
        self.settings(folder, latents=latents)
        refuse(folder, file=folder / CONFIG)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"latents": 3}, ["encoder.logvar has the shape (2,), not (3,)"]),
            ({"components": 5}, ["noise", "shape"]),
            ({"noise": "fixed"}, ["noise.", "shape"]),
            ({"network": "mlp"}, ["is missing"]),
        ],
    )
    def test_settings_of_another_model(self, folder, values, words):
        self.settings(folder, **values)
        refuse(folder, *words, file=folder / MODEL)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("name", ["decoder.0.weight", "noise.variances", "encoder.logvar"])
    def test_weights_that_are_no_numbers(self, folder, name, value):
        state = tensors_of(folder)
        state[name].view(-1)[-1] = value
        save_file(state, folder / MODEL)
        refuse(folder, f"{name} holds nan or inf", file=folder / MODEL)

    def test_tensors_too_many(self, folder):
        state = tensors_of(folder)
        save_file(state | {"extra": torch.zeros(1)}, folder / MODEL)
        refuse(folder, "it holds extra, which this network lacks", file=folder / MODEL)

    @pytest.mark.parametrize(
        "dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint8]
    )
    def test_weights_of_another_kind(self, folder, dtype):
        state = tensors_of(folder)
        state["encoder.logvar"] = state["encoder.logvar"].to(dtype)
        save_file(state, folder / MODEL)
        refuse(folder, "encoder.logvar", str(dtype).removeprefix("torch."), file=folder / MODEL)

    def test_a_name_that_is_a_folder(self, folder):
        (folder / MODEL).unlink()
        (folder / MODEL).mkdir()
        refuse(folder, "not a trained model", MODEL)

    def test_a_pickle_by_that_name(self, folder):
        torch.save(tensors_of(folder), folder / MODEL)
        refuse(folder, "damaged, or not a .safetensors file", file=folder / MODEL)


class Malicious:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


class TestWeightsOfOthers:
    def refuse(self, path, *words):
        refuse(path, *words, network="burgess")

    @pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
    @pytest.mark.parametrize(("shape", "d"), [((1, 32, 32), 3), ((3, 64, 64), 7)])
    def test_sizes_come_from_the_weights(self, tmp_path, suffix, shape, d):
        encoder, decoder = burgess(shape, d)
        state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
        state |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
        path = tmp_path / f"model{suffix}"
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        loaded = open_encoder(path, network="burgess")
        assert loaded.shape == shape
        assert loaded.checkpoint is None
        assert loaded.noise is None
        assert not loaded.module.training
        x = torch.rand(2, *shape)
        mean, logvar, convention = loaded.encode(x)
        assert (mean.shape, convention) == ((2, d), "logvar")
        torch.testing.assert_close((mean, logvar), encoder(x))
        image = torch.sigmoid(decoder(mean))
        torch.testing.assert_close(loaded.decode(mean), image)

    def test_the_old_format_of_torch(self, tmp_path, weights):
        """A pickle without a zip: read, as tensors alone."""
        path = tmp_path / "model.pt"
        torch.save(weights, path, _use_new_zipfile_serialization=False)
        assert not zipfile.is_zipfile(path)
        state = open_encoder(path, network="burgess").module.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())

    def test_the_state_dict_of_a_lightning_checkpoint(self, tmp_path, weights):
        torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "last.ckpt")
        state = open_encoder(tmp_path / "last.ckpt", network="burgess").module.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())

    @pytest.mark.parametrize("new", [True, False])
    @pytest.mark.parametrize("nested", [True, False])
    def test_no_code_runs(self, tmp_path, weights, new, nested):
        path, trace = tmp_path / "model.pt", tmp_path / "trace"
        content = weights | {"x": Malicious(trace)} if nested else Malicious(trace)
        torch.save(content, path, _use_new_zipfile_serialization=new)
        self.refuse(path, "never loaded")
        assert not trace.exists()
        torch.load(path, weights_only=False)
        assert trace.exists()  # the trap works

    def test_no_code_of_a_plain_pickle_runs(self, tmp_path):
        path, trace = tmp_path / "model.pt", tmp_path / "trace"
        path.write_bytes(pickle.dumps(Malicious(trace)))
        self.refuse(path)
        assert not trace.exists()

    @pytest.mark.parametrize("new", [True, False])
    def test_a_whole_module(self, tmp_path, new):
        path = tmp_path / "model.pt"
        torch.save(burgess((1, 32, 32), 2).encoder, path, _use_new_zipfile_serialization=new)
        self.refuse(path, "never loaded", "state_dict")
        with pytest.raises(ValueError, match=r"state_dict\(\), path\)$"):  # no advice of torch
            open_encoder(path, network="burgess")

    @pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "model", "model.ckpt"])
    @pytest.mark.parametrize(
        "content",
        [b"", b"\0", b"version https://git-lfs.github.com/spec/v1\n", b"hello\n", b"PK\x03\x04xx"],
    )
    def test_what_is_no_file_of_weights(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        self.refuse(tmp_path / name)

    @given(seed=seeds)
    def test_noise_is_no_file_of_weights(self, tmp_path_factory, seed):
        path = tmp_path_factory.mktemp("x") / "model.pt"
        rng = np.random.default_rng(seed)
        path.write_bytes(rng.bytes(int(rng.integers(1, 200))))
        self.refuse(path)

    @pytest.mark.parametrize("new", [True, False])
    @given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
    def test_any_byte(self, new, tmp_path_factory, where, byte, cut):
        """Of a file small enough that the headers are hit as well."""
        path = tmp_path_factory.mktemp("x") / "model.pt"
        state = {"encoder.conv1.weight": torch.ones(1, 1, 2, 2), "x": torch.zeros(1)}
        torch.save(state, path, _use_new_zipfile_serialization=new)
        content = bytearray(path.read_bytes())
        index = int(where * len(content))
        content[index] = byte
        path.write_bytes(content[:index] if cut else content)
        self.refuse(path)

    @pytest.mark.parametrize(
        "value", [[1, 2], 3, "x", {"a": 1}, {"a": {"b": 1}}, torch.zeros(2), {}, None]
    )
    def test_what_is_no_state_dict(self, tmp_path, value):
        torch.save(value, tmp_path / "model.pt")
        self.refuse(tmp_path / "model.pt")

    def test_a_network_of_another_kind(self, tmp_path):
        torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "model.pt")
        self.refuse(tmp_path / "model.pt", "not the weights of a burgess network")

    def test_parts_that_do_not_fit(self, tmp_path, weights):
        path = tmp_path / "model.pt"
        name = "decoder.lin2.weight"

        def saved(**changes):
            torch.save({k: v for k, v in (weights | changes).items() if v is not None}, path)

        saved(**{name: None})
        self.refuse(path, f"{name} is missing")
        saved(**{name: torch.zeros(2, 2)})
        self.refuse(path, f"{name} has the shape (2, 2), not (256, 256)")
        saved(**{name: torch.full((256, 256), np.nan)})
        self.refuse(path, f"{name} holds nan or inf")
        saved(extra=torch.zeros(2))
        self.refuse(path, "it holds extra")

    @pytest.mark.parametrize(
        "tensor",
        [
            torch.zeros((), dtype=torch.float32),
            torch.zeros(0, 256),
            torch.zeros(1, 256),
            torch.zeros(5, 256),
            torch.zeros(1).expand(10**13, 256),
        ],
    )
    def test_an_impossible_number_of_latents(self, tmp_path, weights, tensor):
        path = tmp_path / "model.pt"
        torch.save(weights | {"encoder.mu_logvar_gen.weight": tensor}, path)
        self.refuse(path)

    @pytest.mark.parametrize("channels", [0, 10**13])
    def test_an_impossible_number_of_channels(self, tmp_path, weights, channels):
        path = tmp_path / "model.pt"
        tensor = torch.zeros(1).expand(32, channels, 4, 4)
        torch.save(weights | {"encoder.conv1.weight": tensor}, path)
        self.refuse(path)

    @pytest.mark.parametrize("kind", ["sparse", "float8", "complex", "integers", "meta", "key"])
    def test_tensors_of_another_kind(self, tmp_path, weights, kind):
        path, name = tmp_path / "model.pt", "decoder.lin2.bias"
        tensor = {
            "sparse": torch.zeros(256).to_sparse(),
            "float8": torch.zeros(256).to(torch.float8_e4m3fn),
            "complex": torch.zeros(256, dtype=torch.complex64),
            "integers": torch.zeros(256, dtype=torch.int64),
            "meta": torch.zeros(256, device="meta"),
            "key": torch.zeros(256),
        }[kind]
        torch.save(weights | {3 if kind == "key" else name: tensor}, path)
        self.refuse(path, "3" if kind == "key" else name)

    def test_only_burgess(self, tmp_path, weights):
        torch.save(weights, tmp_path / "model.pt")
        with pytest.raises(ValueError, match="for the burgess network only, not for 'mlp'"):
            open_encoder(tmp_path / "model.pt", network="mlp")
        with pytest.raises(ValueError, match="there is no network 'resnet'; there is mnist"):
            open_encoder(tmp_path / "model.pt", network="resnet")
        with pytest.raises(ValueError, match="name their network, as network='burgess'"):
            open_encoder(tmp_path / "model.pt")


@pytest.mark.slow
def test_a_killed_save_leaves_the_old_one(folder):
    """kill -9 while model.safetensors is being written again and again."""
    code = (
        "import sys, pathlib\n"
        "from dindic_models.checkpoint import load, save_model\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "model = load(folder).model\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    save_model(folder, model)\n"
    )
    before = (folder / MODEL).read_bytes()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        with process.stdout:
            assert process.stdout.readline() == "ready\n"
            for _ in range(20):
                load(folder)
            process.kill()
            process.wait()
        load(folder)
        assert (folder / MODEL).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("I/O error: No space left on device", None),
    ],
)
def test_a_full_disk(folder, monkeypatch, words, code):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*args):
        raise SafetensorError(f"Error while serializing: {words}")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_tensors(folder / MODEL, {"a": torch.zeros(1)}, {})
    assert error.value.errno == code
    assert str(folder / MODEL) in str(error.value)
    assert ".tmp" not in str(error.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_as_a_target(tmp_path):
    (tmp_path / MODEL).mkdir()
    with pytest.raises(OSError, match=MODEL):
        write_tensors(tmp_path / MODEL, {"a": torch.zeros(1)}, {})


@pytest.mark.parametrize("read", [read_tensors, step_of])
def test_weights_that_may_not_be_read(folder, denied, read):
    path = folder / MODEL
    with denied(path), pytest.raises(PermissionError) as error:
        read(folder if read is step_of else path)
    assert error.value.filename == str(path)


def test_a_model_that_may_not_be_read(folder, denied):
    with denied(folder / MODEL), pytest.raises(PermissionError):
        load(folder)


def test_encodings_are_not_encoded_again(tmp_path):
    path = tmp_path / "model" / "adata.npz"
    path.parent.mkdir()
    np.savez(path, mean=np.eye(3), var=np.ones((3, 3)))
    for source in (path, path.parent):
        with pytest.raises(
            ValueError, match=r"adata\.npz contains encodings already .*: score the"
        ):
            open_encoder(source)


def test_a_model_of_another_library_is_no_file_of_weights(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"\x08\x08")
    for network in (None, "burgess"):
        with pytest.raises(ValueError, match=r"a\.keras is no file of weights, .*np\.savez"):
            open_encoder(tmp_path / "a.keras", network=network)


def test_weights_of_other_settings_are_refused(tmp_path):
    """Two runs whose networks have the same shapes, and whose weights were exchanged."""
    one, two = Config("mnist", "linear", beta=1.0), Config("mnist", "linear", beta=40.0)
    for name, config in (("one", one), ("two", two)):
        model = save(tmp_path / name, config, (1, 4, 4))
        save_model(tmp_path / name, model, 3, config)
    assert load(tmp_path / "one").step == 3
    (tmp_path / "two" / MODEL).replace(tmp_path / "one" / MODEL)
    with pytest.raises(ValueError, match=r"one.*was trained with other settings than those in"):
        load(tmp_path / "one")


def test_epochs_may_be_raised(tmp_path):
    config = Config("mnist", "linear", epochs=3)
    save_model(tmp_path, save(tmp_path, config, (1, 4, 4)), 3, config)
    save_config(tmp_path, Config("mnist", "linear", epochs=5), (1, 4, 4), DATA)
    assert load(tmp_path).config.epochs == 5


def test_the_same_weights_are_the_same_bytes(tmp_path):
    said = {name: name for name in "abcdefgh"}
    for k in range(6):
        write_tensors(
            tmp_path / f"{k}.safetensors", {"w": torch.ones(2), "b": torch.ones(1)}, said
        )
    assert len({(tmp_path / f"{k}.safetensors").read_bytes() for k in range(6)}) == 1
    tensors, found = read_tensors(tmp_path / "0.safetensors")
    assert found == said
    assert tensors["w"].tolist() == [1, 1]
