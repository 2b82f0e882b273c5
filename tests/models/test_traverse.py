"""Traversals, reconstructions and the information they are ordered by."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models import traverse as module
from dindic_models.config import Config, make_model
from dindic_models.encode import posteriors
from dindic_models.encoder import as_encoder
from dindic_models.noise import NOISES
from dindic_models.traverse import (
    Information,
    choose,
    information,
    information_of,
    memberships,
    reconstruct,
    traverse,
)
from disentangle_indicators import indicators
from disentangle_indicators.aggregate import marginals

SHAPE, D = (1, 6, 5), 4
NOISE_MODELS = pytest.mark.parametrize("noise", NOISES)


def made(noise="learned", shape=SHAPE, **settings):
    values = {"network": "mlp", "latents": D, "precision": "float64", "components": 3} | settings
    return make_model(Config(noise=noise, **({"activation": "linear"} | values)), shape)


def images(n=3, shape=SHAPE):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)


def codes(model, x):
    with torch.no_grad():
        return model.encode(torch.from_numpy(x / np.float32(255)).double())[0]


def decoded(model, z):
    with torch.no_grad():
        return model.reconstruct(z).numpy()


@NOISE_MODELS
@pytest.mark.parametrize("around", [False, True])
def test_one_latent_sweeps_and_the_others_are_those_of_the_image(noise, around):
    model, x = made(noise), images()
    mean, latents, values = codes(model, x), [2, 0], [-2.0, -0.5, 1.0]
    found = traverse(model, x, latents, span=(-2, 1), steps=3, around_seed=around)
    assert found.shape == (3, 2, 3, *SHAPE)
    for s in range(3):
        for place, latent in enumerate(latents):
            for step, value in enumerate(values):
                z = mean[s : s + 1].clone()
                z[0, latent] = value + (z[0, latent] if around else 0)
                np.testing.assert_allclose(found[s, place, step], decoded(model, z)[0], atol=1e-12)


@NOISE_MODELS
def test_the_middle_of_a_one_shot_traversal_is_the_reconstruction(noise):
    model, x = made(noise), images()
    found = traverse(model, x, range(D), steps=7, around_seed=True)
    mean = reconstruct(model, x).mean
    np.testing.assert_allclose(found[:, :, 3], np.repeat(mean[:, None], D, 1), atol=1e-12)
    assert np.ptp(found, axis=2).max() > 1e-3


def test_a_latent_that_the_decoder_ignores_changes_nothing():
    model, x = made(), images()
    with torch.no_grad():
        model.decoder[0].weight[:, 1] = 0
    found = traverse(model, x, [0, 1], steps=5)
    assert np.ptp(found[:, 0], axis=1).max() > 1e-3
    np.testing.assert_allclose(
        found[:, 1], np.repeat(reconstruct(model, x).mean[:, None], 5, 1), atol=1e-12
    )


@pytest.mark.parametrize("values", [1, 31, 300])
def test_how_many_are_decoded_at_once_changes_nothing(monkeypatch, values):
    model, x = made(), images()
    whole = traverse(model, x, range(D))
    shown = []

    def progress(steps, description, total):
        shown.append((description, total, len(list(steps))))
        yield from steps

    monkeypatch.setattr(module, "VALUES", values)
    np.testing.assert_allclose(traverse(model, x, range(D), progress=progress), whole, atol=1e-12)
    batches = -(-3 * D * 9 // max(1, values // 30))
    assert shown == [("decoding", batches, batches)]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = made("mog").train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    traverse(model, images(), [0])
    reconstruct(model, images())
    assert model.training is training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bytes_and_floats_are_the_same_images():
    model, x = made(), images()
    floats = x / np.float32(255)
    np.testing.assert_array_equal(traverse(model, x, [1]), traverse(model, floats, [1]))
    single = traverse(made(precision="float32"), x, [1])
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, traverse(model, x, [1]), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": images()[:, 0]}, r"images must have the shape \(s, C, H, W\)"),
        ({"images": images(shape=(1, 5, 6))}, "takes images of 1x6x5; these are 1x5x6"),
        ({"images": images(0)}, "at least one"),
        ({"images": np.full((1, *SHAPE), 1.5)}, "one value is 1.5"),
        ({"latents": [0, 4]}, "latents must be from 0 to 3; got 4"),
        ({"latents": [-1]}, "got -1"),
        ({"latents": []}, "latents must name at least one"),
        ({"steps": 1}, "steps must be at least 2; got 1"),
        ({"span": (3, -3)}, "span must be two finite numbers"),
        ({"span": (0, np.inf)}, "span must be two finite numbers"),
        ({"span": (np.nan, 1)}, "span must be two finite numbers"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        traverse(made(), **({"images": images(), "latents": [0]} | change))


@NOISE_MODELS
def test_reconstructions_come_with_their_noise(noise):
    model, x = made(noise, sigma2=0.04), images()
    found = reconstruct(model, x)
    np.testing.assert_allclose(found.mean, decoded(model, codes(model, x)), atol=1e-12)
    np.testing.assert_allclose(found.images, x / 255, atol=1e-7)
    np.testing.assert_allclose(found.squared, (found.images - found.mean) ** 2)
    assert f"mean squared residual {found.squared.mean():.4g}" in found.words
    assert ("sigma^2 = 0.04" in found.words) == (noise in ("fixed", "learned"))
    assert (found.members is None) == (noise != "mog")
    assert (found.deviations is None) == (noise != "network")
    foreign = as_encoder(lambda x: {"mean": x.flatten(1), "logvar": x.flatten(1)})
    unknown = reconstruct(replace(foreign, decoder=lambda z: z.reshape(-1, *SHAPE)), x)
    np.testing.assert_array_equal(unknown.mean, unknown.images)
    assert unknown.members is unknown.deviations is None
    assert "sigma" not in unknown.words


def test_memberships_are_posterior_probabilities_of_components():
    model, x = made("mog"), images()
    with torch.no_grad():
        model.noise.weights.copy_(torch.tensor([0.2, 0.5, 0.3]))
    found = reconstruct(model, x)
    members = found.members
    np.testing.assert_allclose(members.weights, [0.2, 0.5, 0.3], rtol=1e-6)
    np.testing.assert_allclose(members.deviations**2, model.noise.variances, rtol=1e-6)
    r, s = found.squared[..., None], members.deviations**2
    joint = members.weights * np.exp(-0.5 * r / s) / np.sqrt(s)
    gamma = joint / joint.sum(-1, keepdims=True)
    np.testing.assert_allclose(members.responsibilities, gamma, atol=1e-6)
    np.testing.assert_array_equal(members.component, gamma.argmax(-1))
    assert set(members.component.ravel()) == {0, 1, 2}


def test_memberships_of_other_noise_are_refused():
    model = made("fixed")
    g = torch.zeros(1, *SHAPE)
    with pytest.raises(ValueError, match="of a mixture; the noise is FixedGaussian"):
        memberships(model.noise, g, g)


def test_deviations_are_those_of_the_decoder():
    model, x = made("network"), images()
    with torch.no_grad():
        variances = model.noise.log_variances(model.decode(codes(model, x))).exp()
    np.testing.assert_allclose(reconstruct(model, x).deviations ** 2, variances, rtol=1e-12)


def test_information_is_that_of_the_marginals():
    rng = np.random.default_rng(0)
    mean, var = rng.normal(size=(200, 3)) * [0.1, 1, 0.5], np.tile([0.99, 0.01, 0.75], (200, 1))
    found = information(mean, var)
    np.testing.assert_array_equal(found.values, marginals(mean, var).information)
    assert found.title(1) == f"latent 1   I = {found.values[1]:.2f} nats"
    assert found.source == "I is I(x; z_h), exact for 200 posteriors"
    assert choose(found)[0] == [1]
    assert choose(found, latents=[0, 1, 2])[0] == [1, 2, 0]


def test_where_marginals_refuse_there_is_definition_3_and_it_is_said():
    mean = np.random.default_rng(0).normal(size=(50, 2))
    var = np.tile([1e-40, 0.5], (50, 1))
    with pytest.raises(ValueError, match="var"):
        marginals(mean, var)
    found = information(mean, var)
    bound = indicators(mean, var).mutual_information_per_latent
    np.testing.assert_allclose(found.values, bound)
    assert "Definition 3 of 50 posteriors, an upper bound" in found.source
    assert found.title(1) == f"latent 1   I ≤ {bound[1]:.2f} nats"
    with pytest.raises(ValueError, match="nan"):
        information(np.full((50, 2), np.nan), var)


def test_images_are_encoded_for_their_information():
    model, x = made(), images(40)
    rows = np.arange(5, 35)
    ((mean, logvar),) = posteriors(model, x, rows)
    whole = information_of(model, x, rows, rng=np.random.default_rng(0))
    np.testing.assert_allclose(whole.values, information(mean, np.exp(logvar)).values)
    few, same, other = (
        information_of(model, x, rows, rng=np.random.default_rng(seed), most=10)
        for seed in (0, 0, 1)
    )
    assert (whole.n, few.n) == (30, 10)
    np.testing.assert_array_equal(few.values, same.values)
    assert (few.values != other.values).all()


KNOWN = Information(np.array([0.1, 2.0, 0.5, 3.0, 0.7]), 100)


@pytest.mark.parametrize(
    ("options", "latents", "words"),
    [
        ({}, [3, 1, 4], "3 of 5 latents carry more than 0.5 nats"),
        ({"threshold": 0.05}, [3, 1, 4, 2, 0], "5 of 5 latents carry more than 0.05 nats"),
        ({"top": 2}, [3, 1], "more than 0.5 nats; 1 of them is left out"),
        ({"top": 9}, [3, 1, 4, 2, 0], "3 of 5 latents carry more than 0.5 nats"),
        ({"latents": [0, 1]}, [1, 0], "more than 0.5 nats; 2 of them are left out"),
    ],
)
def test_latents_are_chosen_by_information(options, latents, words):
    found = choose(KNOWN, **options)
    assert found[0] == latents
    assert found[1].endswith(words)


def test_no_latent_to_show():
    with pytest.raises(ValueError, match="more than 5 nats; latent 3 has the most, 3 nats"):
        choose(KNOWN, threshold=5)
    with pytest.raises(ValueError, match="from 0 to 4; got 5"):
        choose(KNOWN, latents=[5])
