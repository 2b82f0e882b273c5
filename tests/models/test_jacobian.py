"""Cosines between columns of a decoder's Jacobian: linear decoders, laws, and autograd as an oracle."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the Jacobian is NOT tested")

from dindic_models.config import Config, make_model
from dindic_models.encoder import as_encoder
from dindic_models.jacobian import column_cosines
from disentangle_indicators._errors import Undefined

RNG = np.random.default_rng(0)


def linear(matrix):
    weights = torch.as_tensor(matrix, dtype=torch.float32)
    return as_encoder(lambda x: x, decoder=lambda z: z @ weights)


def codes(n=20, d=3):
    return RNG.normal(size=(n, d))


def test_orthogonal_columns_of_any_length():
    turn = np.linalg.qr(RNG.normal(size=(7, 7)))[0][:3] * [[1.0], [5.0], [0.01]]
    found = column_cosines(linear(turn), codes())
    assert found.value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.pairs, np.eye(3), atol=1e-6)


def test_a_rotation_of_the_latents_is_seen():
    """Columns of lengths 3 and 1, turned by 45 degrees: cosine (1 - 9) / (9 + 1)."""
    turned = np.array([[3.0, 1.0, 0.0], [3.0, -1.0, 0.0]])
    found = column_cosines(linear(turned), codes(d=2))
    assert found.value == pytest.approx(0.8, abs=1e-6)
    assert found.se == pytest.approx(0, abs=1e-6)
    assert "0.800 ±" in str(found)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_jacobian_is_that_of_autograd(batch):
    torch.manual_seed(0)
    model = make_model(Config(latents=4, network="mlp", precision="float64"), (1, 5, 5))
    points = codes(12, 4)
    chosen = [2, 0, 3]
    found = column_cosines(model, points, latents=chosen, batch=batch)

    def decode(z):
        return model.eval().reconstruct(z[None])[0].flatten()

    wanted = []
    for z in torch.from_numpy(points):
        j = torch.autograd.functional.jacobian(decode, z)[:, chosen].numpy()
        unit = j / np.linalg.norm(j, axis=0)
        wanted.append(np.abs(unit.T @ unit))
    wanted = np.array(wanted)
    np.testing.assert_allclose(found.pairs, wanted.mean(0), rtol=1e-9)
    each = wanted[:, *np.triu_indices(3, 1)].mean(1)
    assert found.value == pytest.approx(each.mean(), rel=1e-9)
    assert found.se == pytest.approx(each.std(ddof=1) / np.sqrt(12), rel=1e-9)
    assert (found.points, found.latents) == (12, (2, 0, 3))


def test_chance_is_that_of_random_directions():
    values = [column_cosines(linear(RNG.normal(size=(2, 50))), codes(2, 2)) for _ in range(100)]
    each = np.array([found.value for found in values])
    assert each.mean() == pytest.approx(values[0].chance, abs=5 * each.std() / 10)


def test_codes_with_sites():
    def decode(z):
        return torch.nn.functional.interpolate(z, scale_factor=2.0)

    found = column_cosines(as_encoder(lambda x: x, decoder=decode), RNG.normal(size=(3, 2, 2, 2)))
    assert found.pairs.shape == (8, 8)
    assert found.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": codes(1)}, r"n at least 2; it is \(1, 3\)"),
        ({"codes": np.zeros(3)}, r"it is \(3,\)"),
        ({"latents": [1]}, "at least two, each once; got 1"),
        ({"latents": [1, 1]}, "at least two, each once"),
        ({"latents": [0, 3]}, "latents must be from 0 to 2; got 3"),
        ({"model": as_encoder(lambda x: x)}, "no decoder"),
    ],
)
def test_what_is_refused(change, message):
    given = {"model": linear(np.eye(3)), "codes": codes()} | change
    with pytest.raises(ValueError, match=message):
        column_cosines(given.pop("model"), given.pop("codes"), **given)


def test_a_column_without_a_direction():
    with pytest.raises(Undefined, match="column 2 of the Jacobian is zero at point 0"):
        column_cosines(linear(np.diag([1.0, 1.0, 0.0])), codes())
