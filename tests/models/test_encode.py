"""Images into encodings files: row by row what the model says, streamed, whole or not at all."""

import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import config, dataset, pictures
from torch import nn

from dindic_models import encode as module
from dindic_models.config import make_model
from dindic_models.encode import posterior_width, posteriors
from dindic_models.encoder import as_encoder
from dindic_models.feed import Feed
from disentangle_indicators import read_encodings

SUFFIXES = ["npz", "safetensors"]
both = pytest.mark.parametrize("suffix", SUFFIXES)
ROWS = np.array([60, 3, 77, 4, 5, 21, 0, 80, 11])


def encode(path, model, data, rows, batch=1000, **given):
    """Encode rows of a data set."""
    return module.encode(path, model, Feed(data, rows, batch=batch), **given)


def made(**changes):
    return make_model(config(**changes), (1, 8, 8))


def unit(rows=ROWS):
    return torch.from_numpy(pictures()[rows] / np.float32(255))


def by_itself(model, rows=ROWS):
    """Encode every image alone."""
    with torch.no_grad():
        pairs = [model.eval().encode(unit([row])) for row in rows]
    return [torch.cat(part).numpy() for part in zip(*pairs, strict=True)]


class Watched:
    """Images that note how many are asked for at once, and fail at one of them."""

    def __init__(self, values, bad=None, error=ValueError):
        self.values, self.bad, self.error, self.asked = values, bad, error, []
        self.shape, self.dtype = values.shape, values.dtype

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.asked.append(len(index))
        if self.bad in index:
            raise self.error(f"image {self.bad} is damaged")
        return self.values[index]


class Encoder(nn.Module):
    """An encoder from a function of the mean grey of the images."""

    def __init__(self, of):
        super().__init__()
        self.of = of
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        grey = x.flatten(1).mean(1, keepdim=True) * self.weight
        mean = self.of(grey)
        return mean, torch.zeros_like(mean)


def with_encoder(of, latents=1):
    model = made(latents=latents)
    model.encoder = Encoder(of)
    return model


@pytest.mark.parametrize("batch", [1, 2, 4, 9, 1000])
@both
def test_every_row_is_its_image_encoded_alone(tmp_path, suffix, batch):
    model = made(latents=3)
    model.train()
    path = encode(tmp_path / f"a.{suffix}", model, dataset(), ROWS, batch=batch)
    assert path == tmp_path / f"a.{suffix}"
    found = read_encodings(path)
    mean, logvar = by_itself(model)
    assert found.mean.shape == (9, 3)
    assert found.mean.dtype == np.float32
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.log(found.var), logvar, rtol=1e-5, atol=1e-6)
    assert (found.schema, found.scale) == ("native", "logvar")
    assert found.factors is None
    assert found.labels is None


@pytest.mark.parametrize("batch", [70, 1000])
def test_the_distortion_is_the_squared_error_of_decoded_samples(tmp_path, batch):
    """And not of decoded means, of which it would be less: posteriors are wide here."""
    model, images, rows = with_encoder(lambda grey: grey), unit(), np.tile(ROWS, 400)
    model.encoder.register_forward_hook(lambda module, x, found: (found[0], found[1] + 2))
    torch.manual_seed(0)
    with torch.no_grad():
        mean, logvar = model.eval().encode(images)
        spread = (logvar / 2).exp()
        of_means, *drawn = (
            (images - model.reconstruct(mean + spread * noise)).square().sum((1, 2, 3)).double()
            for noise in (torch.zeros_like(mean), *torch.randn(2000, *mean.shape))
        )
    drawn = torch.stack(drawn)
    error = float(drawn.std(0).square().mean().sqrt()) / np.sqrt(len(rows))
    wanted = float(drawn.mean())
    path = encode(tmp_path / "a.npz", model, dataset(), rows, batch=batch)
    found = float(read_encodings(path).metadata["distortion"])
    assert found == pytest.approx(wanted, abs=5 * error)
    assert wanted - float(of_means.mean()) > 10 * error
    again = encode(tmp_path / "b.npz", model, dataset(), rows, batch=batch)
    assert again.read_bytes() == path.read_bytes()


def test_the_distortion_is_that_of_images_in_0_to_1(tmp_path):
    """A model whose images go from -1 to 1 has residuals of twice the size."""
    found = []
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        encoder = as_encoder(made(), span=span)
        path = module.encode(tmp_path / "a.npz", encoder, [unit()])
        found.append(float(read_encodings(path).metadata["distortion"]))
    assert found[0] == pytest.approx(4 * found[1], rel=1e-5)


def test_a_model_without_a_likelihood_has_no_distortion(tmp_path):
    path = module.encode(
        tmp_path / "a.npz", Encoder(lambda x: x.repeat(1, 2)), [unit()], returns="mean,logvar"
    )
    assert "distortion" not in read_encodings(path).metadata


@both
def test_float64_stays_float64(tmp_path, suffix):
    model = made(precision="float64")
    path = encode(tmp_path / f"a.{suffix}", model, dataset(), ROWS)
    with torch.no_grad():
        mean = model.encode(unit().double())[0].numpy()
    found = read_encodings(path)
    assert found.mean.dtype == np.float64
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)


@both
def test_factors_labels_and_words_come_along(tmp_path, suffix):
    factors, labels = np.arange(162).reshape(81, 2), np.arange(81) % 7
    data = dataset(factors=factors, factor_names=("size", "größe"), labels=labels)
    path = encode(tmp_path / f"a.{suffix}", made(), data, ROWS, metadata={"model": "sha256:1"})
    found = read_encodings(path)
    np.testing.assert_array_equal(found.factors, factors[ROWS])
    np.testing.assert_array_equal(found.labels, labels[ROWS])
    assert found.factors.names == ("size", "größe")
    said = {"data": "array", "data_fingerprint": "sha256:0", "model": "sha256:1"}
    assert said.items() <= found.metadata.items()


def test_posteriors_come_batch_by_batch():
    parts = list(posteriors(made(), pictures(), ROWS, batch=4))
    assert [(m.shape, v.shape) for m, v in parts] == [((n, 2), (n, 2)) for n in (4, 4, 1)]
    mean, logvar = by_itself(made())
    np.testing.assert_allclose(np.concatenate([m for m, _ in parts]), mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.concatenate([v for _, v in parts]), logvar, rtol=1e-5, atol=1e-7)
    assert posterior_width(made(latents=5), pictures(), ROWS[:1]) == 5
    assert next(posteriors(made(), pictures(), ROWS[:0], batch=4))[0].shape == (0, 2)


def test_progress_shows_the_batches():
    shown = []

    def progress(steps, description, total):
        shown.append((description, total))
        for step in steps:
            shown.append(len(step))
            yield step

    list(posteriors(made(), pictures(), ROWS, batch=4, progress=progress))
    assert shown == [("encoding", 3), 4, 4, 1]


@both
def test_no_more_than_a_batch_is_asked_for(tmp_path, suffix):
    images = Watched(pictures())
    encode(tmp_path / f"a.{suffix}", made(), dataset(images), np.arange(81), batch=10)
    assert max(images.asked) == 10
    assert sum(images.asked) == 81


def test_memory_does_not_grow_with_the_images(tmp_path):
    """But for two positions of 8 bytes each; means and log variances have 320 bytes."""
    values = np.broadcast_to(pictures(1), (40_000, 1, 8, 8))
    model = with_encoder(lambda grey: grey.repeat(1, 40), latents=40)
    peaks = []
    for n in (20_000, 40_000):
        rows = np.arange(n)
        tracemalloc.start()
        try:
            encode(tmp_path / "a.safetensors", model, dataset(values), rows, batch=100)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * 20_000


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@both
def test_a_failure_midway_leaves_nothing(tmp_path, suffix, error):
    """Neither a file nor a folder of the arrays on disk; and an older file stays."""
    data = dataset(Watched(pictures(), bad=40, error=error))
    with pytest.raises(error, match="image 40 is damaged"):
        encode(tmp_path / f"a.{suffix}", made(), data, np.arange(81), batch=10)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"a.{suffix}").write_text("old")
    with pytest.raises(error):
        encode(tmp_path / f"a.{suffix}", made(), data, np.arange(81), batch=10)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a.{suffix}"]
    assert (tmp_path / f"a.{suffix}").read_text() == "old"


DEPENDING = {
    "random": lambda grey: grey + 0.01 * torch.randn_like(grey),
    "normalised by batch": lambda grey: grey - grey.mean(),
    "by the size of the batch": lambda grey: grey + len(grey),
    "by the first of the batch": lambda grey: grey - grey[0],
}


@pytest.mark.parametrize("how", DEPENDING)
@pytest.mark.parametrize("batch", [3, 9, 1000])
@both
def test_an_encoder_that_is_random_or_looks_at_the_batch(tmp_path, suffix, batch, how):
    model = with_encoder(DEPENDING[how])
    with pytest.raises(ValueError, match=r"encoded twice differ by .* in their means"):
        encode(tmp_path / f"a.{suffix}", model, dataset(), ROWS, batch=batch)
    assert list(tmp_path.iterdir()) == []


def test_batch_norm_and_dropout_in_evaluation_mode_are_fine(tmp_path):
    model = made()
    model.encoder.body = nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 256)
    )
    model.train()
    encode(tmp_path / "a.npz", model, dataset(), ROWS)
    assert model.training
    assert all(each.training for each in model.encoder.body)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("batch", [2, 4, 1000])
def test_a_posterior_that_is_not_finite_names_its_image(tmp_path, batch, value):
    bad = float(unit([21]).mean())
    model = with_encoder(lambda grey: torch.where((grey - bad).abs() < 1e-6, value, grey))
    with pytest.raises(ValueError, match="a mean that is not finite for image 21"):
        encode(tmp_path / "a.npz", model, dataset(), ROWS, batch=batch)
    assert list(tmp_path.iterdir()) == []


def test_a_log_variance_that_is_not_finite():
    model = made()
    with torch.no_grad():
        model.encoder.head.bias[2:] = torch.nan
    with pytest.raises(ValueError, match="a logvar that is not finite for image 60"):
        next(posteriors(model, pictures(), ROWS))


def test_images_of_another_shape(tmp_path):
    with pytest.raises(ValueError, match="takes images of 1x8x8; these are 1x16x8"):
        encode(tmp_path / "a.npz", made(), dataset(pictures().repeat(2, 2)), ROWS)
    assert list(tmp_path.iterdir()) == []


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="there are no images to encode"):
        encode(tmp_path / "a.npz", made(), dataset(), ROWS[:0])


def test_a_path_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match=r"encodings are written to \.npz or \.safetensors"):
        encode(tmp_path / "a.csv", made(), dataset(), ROWS)
    with pytest.raises(NotADirectoryError, match="there is no folder"):
        encode(tmp_path / "missing" / "a.npz", made(), dataset(), ROWS)
