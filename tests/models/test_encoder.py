"""Any model as an Encoder, and all that a loader yields in a file."""

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="torch is not installed: foreign models are NOT tested"
)

from runs import dataset
from torch import nn

from dindic_models.encode import encode
from dindic_models.encoder import as_encoder, evaluating
from dindic_models.feed import Feed, batch_of
from dindic_models.traverse import information_of, reconstruct, traverse
from disentangle_indicators import read_encodings, score

LOGVAR = -1.5


class Net(nn.Module):
    """A network whose means are the inputs."""

    def __init__(self, how=lambda mean: mean):
        super().__init__()
        self.weight, self.how = nn.Parameter(torch.ones(())), how

    def forward(self, x):
        mean = self.how(x.flatten(1)[:, :3] * self.weight)
        return {"mean": mean, "logvar": LOGVAR - mean**2}


class Spatial(nn.Module):
    """A stand-in for an autoencoder of diffusers: codes with sites, images in [-1, 1]."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 4, stride=4, bias=False)
        self.up = nn.ConvTranspose2d(2, 1, 4, stride=4)

    def encode(self, x):
        assert x.min() < 0
        mean, logvar = self.down(x).chunk(2, 1)
        return {"mean": mean, "logvar": logvar}

    def decode(self, z):
        return type("DecoderOutput", (), {"sample": self.up(z)})


class Wrapped(nn.Module):
    """A model whose forward pass trains, and whose encoder encodes."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Net(), nn.Linear(3, 8)

    def forward(self, x):
        raise AssertionError("the training pass")


X = torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(7) % 3
FACTORS = torch.arange(14).reshape(7, 2)


def dicts(part):
    return {"image": X[part], "label": Y[part], "factors": FACTORS[part]}


LOADERS = {
    "x": lambda part: X[part],
    "(x,)": lambda part: (X[part],),
    "(x, labels)": lambda part: (X[part], Y[part]),
    "[x, factors]": lambda part: [X[part], FACTORS[part]],
    "dict": dicts,
    "arrays": lambda part: (X[part].numpy(), Y[part].numpy()),
}


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_whatever_a_loader_yields(tmp_path, kind, suffix):
    """A generator, whose number of rows nobody knows."""
    loader = (LOADERS[kind](part) for part in (slice(0, 3), slice(3, 4), slice(4, 7)))
    found = read_encodings(encode(tmp_path / f"a.{suffix}", Net(), loader))
    np.testing.assert_array_equal(found.mean, X[:, :3])
    np.testing.assert_allclose(np.log(found.var), LOGVAR - X[:, :3] ** 2, rtol=1e-6)
    labels, factors = kind in ("(x, labels)", "dict", "arrays"), kind in ("[x, factors]", "dict")
    assert (found.labels is not None, found.factors is not None) == (labels, factors)
    if labels:
        np.testing.assert_array_equal(found.labels, Y)
    if factors:
        np.testing.assert_array_equal(found.factors.to_array(), FACTORS)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there are no images to encode"),
        ([(X, Y, Y)], "yields 3 values"),
        ([{"what": X}], "a dict with what: what is encoded must be called x"),
        ([(X, Y.reshape(7, 1, 1))], r"labels \(b,\) or factors \(b, k\)"),
        ([X, (X, Y)], "row 7 has labels"),
        ([(X, Y[:3])], "labels must have 7 rows; there are 3"),
        ([X, torch.rand(2, 2)], r"mean must have the shape \(b, 3\); its shape is \(2, 2\)"),
        ([X, X * torch.nan], "a mean that is not finite for row 7"),
    ],
)
def test_batches_that_are_refused_leave_nothing(tmp_path, batches, message):
    with pytest.raises(ValueError, match=message):
        encode(tmp_path / "a.npz", Net(), batches)
    assert list(tmp_path.iterdir()) == []


def test_a_sample_that_poses_as_a_mean(tmp_path):
    net = Net(lambda mean: mean + 0.1 * torch.randn_like(mean))
    with pytest.raises(ValueError, match="differ by .* or returns a sample as its mean"):
        encode(tmp_path / "a.npz", net, [X])
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_a_network_cannot_take(tmp_path):
    with pytest.raises(ValueError, match="the model does not take inputs of 5: "):
        encode(tmp_path / "a.npz", nn.Linear(4, 2), [X])


def test_an_encoder_that_pools_its_batch():
    with pytest.raises(ValueError, match="returns 1 posteriors of 7 inputs"):
        as_encoder(lambda x: {"mean": x[:1, :2], "logvar": x[:1, 2:4]}).encode(X)


def test_the_encoder_of_a_model_is_called_and_not_its_training_pass(tmp_path):
    model = Wrapped()
    encoder = as_encoder(model)
    assert torch.equal(encoder.encode(X).mean, X[:, :3])
    assert encoder.decode(X[:, :3]).shape == (7, 8)
    model.encoder.eval()
    with evaluating(encoder):
        assert not model.training
        assert not torch.is_grad_enabled()
    assert (model.training, model.encoder.training, model.decoder.training) == (True, False, True)


def test_what_is_no_model():
    with pytest.raises(ValueError, match="a int cannot be called"):
        as_encoder(3)
    with pytest.raises(ValueError, match="no decoder"):
        as_encoder(lambda x: x).decode(X)
    with pytest.raises(ValueError, match="the decoder returns a tuple"):
        as_encoder(lambda x: x, decoder=lambda z: (z, z)).decode(X)


def test_half_precision_becomes_float32(tmp_path):
    net = Net().half()
    assert read_encodings(encode(tmp_path / "a.npz", net, [X])).mean.dtype == np.float32


@pytest.fixture
def spatial():
    torch.manual_seed(0)
    return as_encoder(Spatial(), span=(-1.0, 1.0))


def test_codes_with_sites(tmp_path, spatial):
    data = dataset(labels=np.arange(81) % 4)
    path = encode(tmp_path / "a.npz", spatial, Feed(data, np.arange(81), batch=20, span=(-1, 1)))
    with np.load(path) as file:
        assert file["mean"].shape == (81, 2, 2, 2)
        wanted = spatial.encode(torch.from_numpy(data.images[:5] / np.float32(255) * 2 - 1)).mean
        np.testing.assert_allclose(file["mean"][:5], wanted.detach(), atol=1e-6)
    found = read_encodings(path, layout="channels")
    assert (found.n, found.d) == (81 * 4, 2)
    exact = score(found).marginals.information
    rng = np.random.default_rng(0)
    ranked = information_of(spatial, data.images, np.arange(81), rng=rng).values
    np.testing.assert_allclose(ranked, exact, rtol=1e-5)


def test_a_latent_with_sites_sweeps_at_all_of_them(spatial):
    images = dataset().images[:3]
    x = torch.from_numpy(images / np.float32(255) * 2 - 1)
    sweeps = traverse(spatial, images, [1, 0], span=(-2, 2), steps=5)
    assert sweeps.shape == (3, 2, 5, 1, 8, 8)
    with torch.no_grad():
        z = spatial.encode(x).mean
        np.testing.assert_allclose(
            reconstruct(spatial, images).mean, (spatial.decode(z) + 1) / 2, atol=1e-6
        )
        z[:, 1] = -2
        np.testing.assert_allclose(sweeps[:, 0, 0], (spatial.decode(z) + 1) / 2, atol=1e-6)


def test_a_feed_yields_the_images_in_the_units_of_the_model():
    data = dataset(labels=np.arange(81), factors=np.arange(81)[:, None])
    batches = [batch_of(each) for each in Feed(data, [5, 2, 7], batch=2, span=(-1, 3))]
    assert [len(each.x) for each in batches] == [2, 1]
    whole = torch.cat([each.x for each in batches])
    np.testing.assert_allclose(whole, data.images[[5, 2, 7]] / 255 * 4 - 1, atol=1e-6)
    assert np.concatenate([each.beside["labels"] for each in batches]).tolist() == [5, 2, 7]
    assert batches[1].beside["rows"].tolist() == [7]
