"""Networks: the shapes of appendix D.5, "SAME" padding and its adjoint, and laws for every one."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from torch import nn
from torch.nn import functional as F

from dindic_models.config import Config, make_model
from dindic_models.networks import (
    INITIALISATIONS,
    NETWORKS,
    SameConv2d,
    SameDeconv2d,
    burgess,
    burgess_shape,
    conv,
    initialise,
    linear,
    mlp,
)
from dindic_models.openers import open_encoder

DATA = Path(os.environ.get("DINDIC_DATA", ""))
THIRD_PARTY = {"mnist_vae": (1, 32, 32), "dsprites_btcvae": (1, 64, 64)}
needs_third_party = pytest.mark.skipif(
    not (DATA / "checkpoints").is_dir(), reason="set DINDIC_DATA: weights of others are NOT tested"
)

IMAGES = {
    "mnist": (1, 28, 28),
    "celeba": (3, 64, 64),
    "yale": (1, 192, 168),
    "burgess": (3, 32, 32),
    "mlp": (1, 9, 7),
    "linear": (2, 5, 3),
}
CASES = [*IMAGES.items(), ("burgess", (1, 64, 64)), ("mnist", (2, 9, 7)), ("celeba", (1, 1, 1))]

# D.5: filters of each convolution, rows and columns of each map
PAPER = {
    "mnist": ((32, 32), [(28, 28), (14, 14), (7, 7)]),
    "celeba": ((32, 32, 64, 64), [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]),
    "yale": ((32, 32, 64, 64), [(192, 168), (96, 84), (48, 42), (24, 21), (12, 11)]),
}


def test_every_network_is_tested():
    assert set(IMAGES) == set(NETWORKS)


def maps(module, kind, x):
    """(channels, rows, columns) of what goes into each layer of a kind, and out of the last."""
    seen = []
    layers = [layer for layer in module.modules() if isinstance(layer, kind)]
    for layer in layers:
        layer.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
    module(x)
    return [tuple(i.shape[1:]) for i, _ in seen] + [tuple(seen[-1][1].shape[1:])]


@pytest.mark.parametrize("name", PAPER)
def test_appendix_d5(name):
    filters, sizes = PAPER[name]
    shape, d = IMAGES[name], 128
    encoder, decoder = NETWORKS[name](shape, d, 1)
    wanted = [(c, *size) for c, size in zip((shape[0], *filters), sizes, strict=True)]
    assert maps(encoder, SameConv2d, torch.zeros(1, *shape)) == wanted
    assert maps(decoder, SameDeconv2d, torch.zeros(1, d)) == wanted[::-1]
    kernels = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    kernels += [m for m in decoder.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert {(m.kernel_size, m.stride) for m in kernels} == {((4, 4), (2, 2))}
    width = math.prod(wanted[-1])
    dense = [
        [(m.in_features, m.out_features) for m in part.modules() if isinstance(m, nn.Linear)]
        for part in (encoder, decoder)
    ]
    assert dense == [[(width, 256), (256, 2 * d)], [(d, 256), (256, width)]]


def same_by_hand(x, weight):
    """A 4x4 convolution with stride 2 and TensorFlow's SAME padding, one output at a time."""
    pads = []
    for n in x.shape[-2:]:
        total = max((math.ceil(n / 2) - 1) * 2 + 4 - n, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    rows, columns = ((n - 4) // 2 + 1 for n in x.shape[-2:])
    out = np.empty((len(x), len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
            out[:, :, i, j] = np.einsum("bcuv,fcuv->bf", window, weight)
    return out


def random(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


sides = st.integers(1, 13)
channels = st.integers(1, 3)


@given(rows=sides, columns=sides, c=channels, f=channels, seed=seeds)
def test_same_convolution_pads_as_tensorflow_does(rows, columns, c, f, seed):
    layer = SameConv2d(c, f).double()
    x = random(seed, 2, c, rows, columns)
    wanted = same_by_hand(x.numpy(), layer.conv.weight.detach().numpy())
    wanted += layer.conv.bias.detach().numpy()[:, None, None]
    assert wanted.shape[-2:] == (math.ceil(rows / 2), math.ceil(columns / 2))
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted, rtol=0, atol=1e-12)


@given(rows=sides, columns=sides, c=channels, f=channels, seed=seeds)
def test_same_deconvolution_is_its_adjoint(rows, columns, c, f, seed):
    down, up = SameConv2d(c, f).double(), SameDeconv2d(f, c, (rows, columns)).double()
    up.conv.weight = down.conv.weight
    with torch.no_grad():
        down.conv.bias.zero_()
        up.conv.bias.zero_()
    x = random(seed, 2, c, rows, columns)
    y = random(seed + 1, *down(x).shape)
    assert up(y).shape == x.shape
    left, right = (down(x) * y).sum(), (x * up(y)).sum()
    assert abs(left - right) <= 1e-10 * (x.norm() * y.norm())


@given(
    shape=st.tuples(channels, st.integers(1, 40), st.integers(1, 40)),
    filters=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    d=st.integers(1, 4),
    outputs=st.integers(1, 2),
    b=st.integers(0, 3),
)
def test_any_size_comes_back(shape, filters, d, outputs, b):
    encoder, decoder = conv(shape, d, outputs, channels=tuple(filters), hidden=5)
    mean, logvar = encoder(torch.zeros(b, *shape))
    assert mean.shape == logvar.shape == (b, d)
    assert decoder(mean).shape == (b, outputs * shape[0], *shape[1:])


def dense(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def conv_by_hand(network, x):
    """Encode and decode (float64) with the weights alone; ReLU after all layers but the last."""
    encoder, decoder = (list(part.state_dict().values()) for part in network)
    pairs = list(zip(encoder[::2], encoder[1::2], strict=True))
    sizes = []
    for weight, bias in pairs[:-2]:
        sizes.append(x.shape[-2:])
        after = same_by_hand(x.numpy(), weight.numpy())
        x = torch.relu(torch.asarray(after) + bias[:, None, None])
    smallest = x.shape[1:]
    x = torch.relu(x.flatten(1) @ pairs[-2][0].T + pairs[-2][1])
    out = x @ pairs[-1][0].T + pairs[-1][1]
    d = out.shape[1] // 2
    mean, logvar = out[:, :d], out[:, d:]
    pairs = list(zip(decoder[::2], decoder[1::2], strict=True))
    y = mean
    for weight, bias in pairs[:2]:
        y = torch.relu(y @ weight.T + bias)
    y = y.unflatten(1, smallest)
    for number, (weight, bias) in enumerate(pairs[2:]):
        size = sizes[-1 - number]
        if number:
            y = torch.relu(y)
        y = transpose_by_hand(y, weight, size) + bias[:, None, None]
    return mean, logvar, y


def transpose_by_hand(y, weight, size):
    """The gradient of <same_by_hand(x), y> in x, by adding every kernel where it belongs."""
    rows, columns = y.shape[-2:]
    out = torch.zeros(len(y), weight.shape[1], 2 * rows + 2, 2 * columns + 2, dtype=y.dtype)
    for i in range(rows):
        for j in range(columns):
            patch = torch.einsum("bf,fcuv->bcuv", y[:, :, i, j], weight)
            out[:, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    return out[:, :, 1 : 1 + size[0], 1 : 1 + size[1]]


@given(
    shape=st.tuples(channels, sides, sides),
    filters=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    outputs=st.integers(1, 2),
    seed=seeds,
)
def test_conv_is_what_it_says(shape, filters, outputs, seed):
    torch.manual_seed(seed)
    network = conv(shape, 3, outputs, channels=tuple(filters), hidden=6)
    for part in network:
        part.double()
    x = random(seed, 2, *shape)
    mean, logvar, image = conv_by_hand(network, x)
    ours = network.encoder(x)
    torch.testing.assert_close(ours[0], mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours[1], logvar, rtol=0, atol=1e-12)
    torch.testing.assert_close(network.decoder(mean), image, rtol=0, atol=1e-12)


def burgess_by_hand(state, x):
    """(mean, logvar, logits), from the table of names in the README of the data."""
    names = [
        "conv1",
        "conv2",
        "conv3",
        *(["conv_64"] if "encoder.conv_64.weight" in state else []),
    ]
    for name in names:
        weight, bias = (state[f"encoder.{name}.{kind}"] for kind in ("weight", "bias"))
        x = torch.relu(F.conv2d(F.pad(x, (1, 1, 1, 1)), weight, bias, stride=2))
    x = x.reshape(len(x), 512)
    for name in ("lin1", "lin2"):
        x = torch.relu(dense(state, f"encoder.{name}", x))
    out = dense(state, "encoder.mu_logvar_gen", x)
    mean, logvar = out[:, 0::2], out[:, 1::2]
    y = mean
    for name in ("lin1", "lin2", "lin3"):
        y = torch.relu(dense(state, f"decoder.{name}", y))
    y = y.reshape(-1, 32, 4, 4)
    for name in ("convT_64", "convT1", "convT2", "convT3"):
        if f"decoder.{name}.weight" in state:
            weight, bias = (state[f"decoder.{name}.{kind}"] for kind in ("weight", "bias"))
            y = F.conv_transpose2d(y, weight, bias, stride=2, padding=1)
            y = y if name == "convT3" else torch.relu(y)
    return mean, logvar, y


@pytest.mark.parametrize("side", [32, 64])
@given(c=channels, d=st.integers(1, 12), b=st.integers(0, 3), seed=seeds)
def test_burgess_is_what_it_says(side, c, d, b, seed):
    torch.manual_seed(seed)
    network = burgess((c, side, side), d)
    state = {f"encoder.{k}": v for k, v in network.encoder.state_dict().items()}
    state |= {f"decoder.{k}": v for k, v in network.decoder.state_dict().items()}
    assert burgess_shape(state) == ((c, side, side), d)
    x = torch.rand(b, c, side, side)
    mean, logvar, logits = burgess_by_hand(state, x)
    with torch.no_grad():
        torch.testing.assert_close(network.encoder(x), (mean, logvar), rtol=0, atol=1e-6)
        torch.testing.assert_close(network.decoder(mean), logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 64, 32), (3, 32, 64), (1, 128, 128)])
def test_burgess_takes_two_sizes(shape):
    with pytest.raises(ValueError, match=f"not {shape[1]}x{shape[2]}"):
        burgess(shape, 10)


@needs_third_party
@pytest.mark.parametrize("name", THIRD_PARTY)
def test_weights_of_others_load(name):
    path = DATA / "checkpoints" / name / "model.pt"
    loaded = open_encoder(path, network="burgess")
    assert loaded.shape == THIRD_PARTY[name]
    assert loaded.checkpoint is None
    state = torch.load(path, weights_only=True)
    ours = loaded.module.state_dict()
    for key, value in state.items():
        assert torch.equal(ours[key], value)
    assert set(ours) == set(state)
    x = torch.rand(4, *THIRD_PARTY[name], generator=torch.Generator().manual_seed(0))
    mean, logvar, logits = burgess_by_hand(state, x)
    assert mean.shape == (4, 10)
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode(x)[:2], (mean, logvar), rtol=0, atol=1e-5)
        image = loaded.decode(mean)
        torch.testing.assert_close(image, torch.sigmoid(logits), rtol=0, atol=1e-5)


@needs_third_party
def test_weights_of_others_give_their_encodings():
    image = pytest.importorskip("PIL.Image")
    with gzip.open(DATA / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        stream.read(16)
        pixels = np.frombuffer(stream.read(200 * 784), np.uint8).reshape(200, 28, 28)
    resized = [image.fromarray(x).resize((32, 32), image.Resampling.BILINEAR) for x in pixels]
    x = torch.asarray(np.stack([np.asarray(i) for i in resized])[:, None] / np.float32(255))
    path = DATA / "checkpoints" / "mnist_vae" / "model.pt"
    model = open_encoder(path, network="burgess")
    with np.load(DATA / "encodings" / "mnist_vae.npz") as file:
        wanted = file["mu"][:200], file["logvar"][:200]
    with torch.no_grad():
        for ours, theirs in zip(model.encode(x)[:2], wanted, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-4)


def test_mlp_is_what_it_says():
    network = mlp((2, 3, 2), 3, 2, hidden=(7, 5))
    encoder, decoder = (list(part.state_dict().values()) for part in network)
    assert [tuple(w.shape) for w in encoder[::2]] == [(7, 12), (5, 7), (6, 5)]
    assert [tuple(w.shape) for w in decoder[::2]] == [(5, 3), (7, 5), (24, 7)]
    x = torch.rand(4, 2, 3, 2)
    y = x.flatten(1)
    for number in (0, 2, 4):
        y = y @ encoder[number].T + encoder[number + 1]
        y = y if number == 4 else torch.relu(y)
    torch.testing.assert_close(network.encoder(x), (y[:, :3], y[:, 3:]))
    z = y = y[:, :3]
    for number in (0, 2, 4):
        y = y @ decoder[number].T + decoder[number + 1]
        y = y if number == 4 else torch.relu(y)
    torch.testing.assert_close(network.decoder(z), y.reshape(4, 4, 3, 2))


@given(d=st.integers(1, 5), outputs=st.integers(1, 2), seed=seeds)
def test_linear_is_linear(d, outputs, seed):
    encoder, decoder = linear((2, 3, 1), d, outputs)
    torch.manual_seed(seed)
    encoder.logvar.data.normal_()
    x, z = torch.rand(3, 2, 3, 1), torch.randn(3, d)
    assert torch.equal(encoder(x)[1], encoder.logvar.expand(3, d))
    for f, u in ((lambda u: encoder(u)[0], x), (decoder, z)):
        between = f(0.3 * u[:1] + 0.7 * u[1:2])
        torch.testing.assert_close(between, 0.3 * f(u[:1]) + 0.7 * f(u[1:2]))


@pytest.mark.parametrize("noise", ["fixed", "network"])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_shapes(name, shape, noise):
    model = make_model(Config(network=name, latents=5, noise=noise), shape)
    for b in (0, 1, 2):
        x = torch.rand(b, *shape)
        mean, logvar = model.encode(x)
        assert mean.shape == logvar.shape == (b, 5)
        outputs = 1 + (noise == "network")
        assert model.decode(mean).shape == (b, outputs * shape[0], *shape[1:])
        assert model.reconstruct(mean).shape == x.shape
        terms = model(x, torch.zeros(3, b, 5))
        assert terms.log_likelihood.shape == terms.kl.shape == (b,)
        assert len(terms.output) == 3 * b


@pytest.mark.parametrize("init", INITIALISATIONS)
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_seed_is_all(name, shape, init):
    """The same weights from the same seed, and the state of torch's own generator stays."""
    config = {"network": name, "latents": 3, "init": init}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make_model(Config(**config, seed=7), shape).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = make_model(Config(**config, seed=7), shape).state_dict()
    other = make_model(Config(**config, seed=8), shape).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    weights = [key for key in first if key.endswith("weight") and first[key].numel() > 1]
    assert all(not torch.equal(first[key], other[key]) for key in weights)


@pytest.mark.parametrize(("name", "shape"), CASES)
@torch.no_grad()
def test_samples_do_not_see_each_other(name, shape):
    model = make_model(Config(network=name, latents=4, init="kaiming"), shape)
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
    together = torch.stack(model.encode(x))
    alone = torch.cat([torch.stack(model.encode(row[None])) for row in x], 1)
    scale = 1e-5 * max(1, together.abs().max())
    assert (together - alone).abs().max() <= scale
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    images = model.reconstruct(z)
    alone = torch.cat([model.reconstruct(row[None]) for row in z])
    assert (images - alone).abs().max() <= 1e-5 * max(1, images.abs().max())
    assert images.std(0).max() > 1e-4  # the test would pass for constant networks


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_gradients_reach_every_weight(name, shape):
    model = make_model(Config(network=name, latents=4, noise="network", init="xavier"), shape)
    terms = model(torch.rand(3, *shape), torch.randn(1, 3, 4))
    (terms.log_likelihood - terms.kl).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    used = [k for k, p in model.named_parameters() if p.grad.abs().max() > 0]
    assert len(used) >= 0.9 * len(list(model.parameters()))  # a ReLU layer may be all zero


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_sigmoid_is_for_pixels_only(name, shape):
    """The other outputs, log variances, keep their range."""
    z, c = 3 * torch.randn(2, 3), shape[0]
    for noise in ("fixed", "network"):
        config = {"network": name, "latents": 3, "noise": noise}
        plain = make_model(Config(**config, activation="linear"), shape)
        squashed = make_model(Config(**config), shape)
        g, h = plain.decode(z), squashed.decode(z)
        torch.testing.assert_close(h[:, :c], torch.sigmoid(g[:, :c]))
        assert torch.equal(h[:, c:], g[:, c:])


@pytest.mark.parametrize("name", ["xavier", "kaiming"])
def test_initialisations_have_their_variance(name):
    module = nn.Sequential(nn.Conv2d(20, 30, 4), nn.Linear(300, 100), nn.ConvTranspose2d(9, 8, 4))
    initialise(module, name, torch.Generator().manual_seed(0))
    fans = [(20 * 16, 30 * 16), (300, 100)]  # torch's fans of a transposed one are not its own
    for layer, (fan_in, fan_out) in zip(module, fans, strict=False):
        wanted = 2 / fan_in if name == "kaiming" else 2 / (fan_in + fan_out)
        error = math.sqrt(2 / layer.weight.numel())
        assert abs(layer.weight.var() / wanted - 1) <= 5 * error
        assert abs(layer.weight.mean()) <= 5 * math.sqrt(wanted / layer.weight.numel())
    assert all(not layer.bias.any() for layer in module)
    before = [p.clone() for p in module.parameters()]
    initialise(module, "torch", torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
