"""Models as other tools write them: each is encoded, or the exact next step is said; nothing runs unasked.

A copy of the small ones is in tests/data/files. DINDIC_FILES names a folder with all of them.
"""

import json
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model of others is tested")

from cli_helpers import flat
from click.testing import CliRunner
from runs import settings_of_torch

from dindic import main
from disentangle_indicators import read_encodings

FOLDERS = [Path(__file__).parents[1] / "data" / "files", Path(os.environ.get("DINDIC_FILES", "."))]

MY_MODEL = """
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self, d=6):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1))
        self.mu, self.logvar = nn.Linear(32, d), nn.Linear(32, d)

    def forward(self, x):
        h = self.body(x)
        return self.mu(h), self.logvar(h)

class LitVAE(nn.Module):
    def __init__(self, latent_dim=6):
        super().__init__()
        self.encoder, self.decoder = Encoder(latent_dim), nn.Linear(latent_dim, 64)

def ready(path):
    model = Encoder()
    model.load_state_dict(torch.load(path, weights_only=True))
    return lambda x: dict(zip(("mean", "logvar"), model.eval()(x)))
"""
"""The user's own code, in the current folder."""

OWN = "--encoder my_model:Encoder --returns mean,logvar"
LIT = "--encoder my_model:LitVAE --returns mean,logvar"
TORCH = {"n": 256, "d": 6, "kl": 0.122315}

ENCODED = {
    "torch/encoder.onnx": TORCH,
    f"torch/state_dict.pt {OWN}": TORCH,
    "torch/state_dict.pt --encoder my_model:ready": TORCH,
    f"torch/train_checkpoint.pth {OWN}": TORCH,
    f"torch/hf {OWN}": TORCH,
    "torch/torchscript.pt --trust-checkpoint --returns mean,logvar": TORCH,
    "torch/whole_module.pt --trust-checkpoint --returns mean,logvar": TORCH,
    "torch/pythae_betavae": TORCH | {"kl": 0.051031},
    f"torch/lightning_plain_hparams.ckpt {LIT}": TORCH | {"kl": 0.137277},
    f"torch/lightning.ckpt --trust-checkpoint {LIT}": TORCH | {"kl": 0.072248},
    "diffusers/vae_kl": {"n": 4096, "d": 4, "kl": 0.2695, "layout": "channels"},
}

REFUSED = [
    ("torch/state_dict.pt", "name their network, as --network burgess, or name a function"),
    (
        "torch/state_dict.pt --encoder my_model:Encoder",
        "2 values without names: .* --returns mean,",
    ),
    (f"torch/lightning.ckpt {LIT}", r"argparse\.Namespace, .* add --trust-checkpoint"),
    ("torch/whole_module.pt", r"my_model\.Encoder, torch\.nn\.modules\.activation\.ReLU"),
    ("torch/torchscript.pt", r"runs its code \(__torch__/my_model\.py\)\. .* --trust-checkpoint"),
    (
        "torch/hf",
        "has the weights of MyVAE, without its code; .* --encoder package.module:factory",
    ),
    ("torch/pythae_custom", "is a class of its author's, .* --encoder package.module:factory"),
    ("torch/images.npz", "images.npz is no file of weights"),
    ("diffusers/vae_tiny_no_dist", "the encoder returns latents, and gives no posterior"),
    ("diffusers/pipeline", r"vae: it has no weights \(\*\.safetensors\)"),
    ("scvi/minified.h5ad", "contains encodings already .* dindic score"),
    ("scvi/scvi_model", r"adata\.h5ad contains encodings already .* dindic score"),
    ("torch/state_dict.pt --encoder my_model:Encodre", "has no 'Encodre'; did you mean 'Encoder'"),
    ("torch/state_dict.pt --encoder my_model:Nope", "has no 'Nope'; there is .*Encoder"),
    ("torch/state_dict.pt --encoder gone:Encoder", "there is no module 'gone', neither in"),
    ("torch/state_dict.pt --encoder my_model", "must be package.module:factory; got 'my_model'"),
    (
        "torch/state_dict.pt --encoder my_model:LitVAE",
        "missing: encoder.body.1.weight, .*; unexpected: body.1.weight",
    ),
    ("torch/state_dict.pt --encoder my_model:Encoder --network burgess", "--encoder or --network"),
    ("torch/encoder.onnx --returns mean,sigma", "--returns must be a mean and a scale"),
    ("torch/encoder.onnx --range 1,0", "'1,0' is not two numbers, the lower one first"),
    ("torch/encoder.onnx --size 4,4,4", "'4,4,4' is not a height and a width"),
]

NEEDS = {"onnx": "onnxruntime", "vae_": "diffusers", "h5ad": "h5py", "scvi_model": "h5py"}
"""Packages that a path is opened with, where they are extras."""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text(MY_MODEL)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("my_model", None)
    with settings_of_torch():
        yield
    sys.modules.pop("my_model", None)


def found(name):
    for part, package in NEEDS.items():
        if part in name:
            pytest.importorskip(package, reason=f"{package} is not installed: {name} NOT tested")
    folder = next((each for each in FOLDERS if (each / name).exists()), None)
    if folder is None:
        pytest.skip(f"no {name}, which is NOT tested: set DINDIC_FILES")
    return str(folder / name)


def encode(words, code=0):
    name, *more = words.split()
    data = found("diffusers/images.npy" if name.startswith("diffusers") else "torch/images.npz")
    args = ["encode", found(name), *more, "--data", data, "-o", "x.npz"]
    result = CliRunner().invoke(main, args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "weights_only" not in result.output  # no advice of torch's
    assert Path("x.npz").exists() == (code == 0)
    return flat(result.stderr)


@pytest.mark.parametrize("words", ENCODED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of diffusers and its packages
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_encodings_of_a_foreign_model(words):
    wanted = dict(ENCODED[words])
    encode(words)
    layout = ["--layout", wanted.pop("layout")] if "layout" in wanted else []
    result = CliRunner().invoke(
        main, ["score", "x.npz", *layout, "--no-marginals", "--quiet", "--json", "-"]
    )
    report = json.loads(result.stdout)
    kl = wanted.pop("kl")
    assert wanted.items() <= report.items()
    assert report["kl_posterior_prior"] == pytest.approx(kl, abs=5e-5 if layout else 1e-6)


@pytest.mark.parametrize(("words", "message"), REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_cannot_be_encoded_names_the_next_step(words, message):
    text = encode(words, code=2)
    assert re.search(message, text), text


class Canary:
    """Unpickling it writes a file."""

    def __reduce__(self):
        return Path.touch, (Path("canary"),)


def folder_of_pythae():
    folder = Path("pythae")
    folder.mkdir()
    config = {"name": "VAEConfig", "input_dim": [1, 8, 8], "latent_dim": 2}
    (folder / "model_config.json").write_text(json.dumps(config))
    layers = {
        "encoder.layers.0.0": (5, 64),
        "encoder.embedding": (2, 5),
        "encoder.log_var": (2, 5),
        "decoder.layers.0.0": (5, 2),
        "decoder.layers.1.0": (64, 5),
    }
    weights = {f"{name}.weight": torch.randn(*size) for name, size in layers.items()}
    weights |= {f"{name}.bias": torch.randn(size[0]) for name, size in layers.items()}
    torch.save({"model_state_dict": weights}, folder / "model.pt")
    return folder, weights


def test_the_default_encoder_of_pythae_is_rebuilt():
    from dindic_models.openers import open_encoder

    folder, w = folder_of_pythae()
    encoder = open_encoder(folder)
    x = torch.rand(3, 1, 8, 8)
    hidden = (
        x.flatten(1) @ w["encoder.layers.0.0.weight"].T + w["encoder.layers.0.0.bias"]
    ).relu()
    mean, logvar, convention = encoder.encode(x)
    torch.testing.assert_close(
        mean, hidden @ w["encoder.embedding.weight"].T + w["encoder.embedding.bias"]
    )
    torch.testing.assert_close(
        logvar, hidden @ w["encoder.log_var.weight"].T + w["encoder.log_var.bias"]
    )
    assert (convention, encoder.shape, encoder.noise) == ("logvar", (1, 8, 8), None)
    back = (mean @ w["decoder.layers.0.0.weight"].T + w["decoder.layers.0.0.bias"]).relu()
    image = (back @ w["decoder.layers.1.0.weight"].T + w["decoder.layers.1.0.bias"]).sigmoid()
    torch.testing.assert_close(encoder.decode(mean), image.reshape(3, 1, 8, 8))


def test_a_pickle_in_a_folder_of_pythae_is_not_run():
    folder, _ = folder_of_pythae()
    (folder / "encoder.pkl").write_bytes(pickle.dumps(Canary()))
    args = ["encode", "pythae", "--data", found("torch/images.npz"), "-o", "x.npz"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "pythae has encoder.pkl, a pickle" in flat(result.stderr)
    assert not Path("canary").exists()


@pytest.mark.parametrize("trust", [False, True])
def test_objects_are_loaded_only_if_they_are_trusted(trust):
    """The same file is refused by name, and then runs."""
    torch.save({"state_dict": {}, "x": Canary()}, "model.pt")
    words = ["--trust-checkpoint"] if trust else []
    data = found("torch/images.npz")
    result = CliRunner().invoke(
        main, ["encode", "model.pt", *words, "--data", data, "-o", "x.npz"]
    )
    assert result.exit_code == 2
    assert Path("canary").exists() == trust
    assert trust or "beside tensors, builtins.getattr, pathlib.Path," in flat(result.stderr)


@pytest.mark.parametrize("damage", [False, True])
def test_a_program_of_torch_export(damage):
    class Encoder(torch.nn.Module):
        def forward(self, x):
            return {"mean": x.flatten(1)[:, :6], "logvar": x.flatten(1)[:, 6:12]}

    x = torch.rand(4, 1, 8, 8)
    program = torch.export.export(Encoder(), (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.export.save(program, "encoder.pt2")
    if damage:
        content = Path("encoder.pt2").read_bytes()
        Path("encoder.pt2").write_bytes(content.replace(b"graph_module", b"graph_modulf"))
    args = ["encode", "encoder.pt2", "--data", found("torch/images.npz"), "-o", "x.npz"]
    refused = CliRunner().invoke(main, args)
    assert refused.exit_code == 2
    assert "encoder.pt2 is a program of torch.export" in flat(refused.stderr)
    trusted = CliRunner().invoke(main, [*args, "--trust-checkpoint"])
    assert trusted.exit_code == (2 if damage else 0), trusted.output
    assert Path("x.npz").exists() == (not damage)


# -------------------------------------------------------------------------------- what is fed


def run(*words, code=0):
    result = CliRunner().invoke(main, ["encode", *map(str, words), "-o", "x.npz"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return flat(result.stderr)


ECHO = """
def echo(path):
    return lambda x: {"mean": x.flatten(1)[:, :6], "logvar": 0 * x.flatten(1)[:, :6] - 1}
"""


@pytest.fixture
def echo():
    """A model whose means are the first six values that it is fed."""
    Path("echo_model.py").write_text(ECHO)
    Path("any.thing").write_text("weights")
    yield ["any.thing", "--encoder", "echo_model:echo"]
    sys.modules.pop("echo_model", None)


def folder_of_images(n=8, size=(6, 9)):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed: folders NOT tested")
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    for i in range(n):
        pixels = rng.integers(0, 256, size, np.uint8)
        image.fromarray(pixels).save(f"photos/{i}.png")
    return "photos"


def test_all_images_of_a_folder_in_any_range_and_size(echo):
    folder = folder_of_images()
    text = run(*echo, "--data", folder)
    assert "folder has no test part, so all 8 images" in text
    unit = read_encodings("x.npz").mean
    run(*echo, "--data", folder, "--range", "-1,1")
    np.testing.assert_allclose(read_encodings("x.npz").mean, 2 * unit - 1, atol=1e-6)
    text = run(*echo, "--data", folder, "--size", "3,4")
    assert "8 images of 1x3x4" in text
    assert read_encodings("x.npz").mean.shape == (8, 6)


def test_all_images_of_a_folder_by_a_bundled_model():
    """Not one part of a random split of data that it was not trained on."""
    text = run("beta10", "--data", folder_of_images(size=(28, 28)))
    assert "these are not the data the model was trained on" in text
    assert "folder has no test part, so all 8 images" in text
    assert read_encodings("x.npz").n == 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8])
def test_arrays_are_fed_as_they_are(echo, dtype):
    rows = np.random.default_rng(0).integers(0, 200, (70, 9)).astype(dtype)
    labels, factors = np.arange(70) % 3, np.arange(140).reshape(70, 2)
    np.savez("counts.npz", counts=rows, labels=labels, factors=factors)
    text = run(*echo, "--data", "counts.npz", "--range", "none", "--batch", 32)
    assert "which is fed as it is" in text
    found = read_encodings("x.npz")
    np.testing.assert_array_equal(found.mean, rows[:, :6])
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.factors.to_array(), factors)
    np.save("counts.npy", rows)
    run(*echo, "--data", "counts.npy", "--range", "none")
    np.testing.assert_array_equal(read_encodings("x.npz").mean, rows[:, :6])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--range", "none"], "--range none needs --data FILE"),
        (["--range", "none", "--data", "a.npz", "--size", 3], "without --size"),
        (["--range", "none", "--data", "a.npz"], "one array must have two axes or more; .* a, b"),
        (["--range", "none", "--data", "b.npz"], "labels must have 4 rows"),
        (["--range", "none", "--data", "my_model.py"], "fed from .npy and .npz files"),
        (["--range", "none", "--data", "c.npy"], "c.npy: .* holds Python objects"),
        (["--range", "none", "--data", "gone.npy"], "no such file: gone.npy"),
        (["--data", "d.npy"], r"\(n, C, H, W\)"),
    ],
)
def test_arrays_that_are_refused(echo, words, message):
    np.savez("a.npz", a=np.ones((4, 7)), b=np.ones((4, 8)))
    np.savez("b.npz", a=np.ones((4, 7)), labels=np.arange(3))
    np.save("c.npy", np.array([None, 3]), allow_pickle=True)
    np.save("d.npy", np.ones((4, 7)))
    text = run(*echo, *words, code=2)
    assert re.search(message, text), text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_traversals_of_an_autoencoder_of_diffusers():
    words = ["traverse", found("diffusers/vae_kl"), "--data", found("diffusers/images.npy")]
    words += ["-o", "a.png", "--images", "2", "--top", "2", "--steps", "3", "--decoder"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert Path("a.png").stat().st_size > 1000
    assert "the codes of this model have sites" in flat(result.stdout)
