"""The gap of the bound of linear models, whose posteriors are known, and the tails of weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the gap is NOT tested")

from scipy import stats

from dindic_models.bound import bound_gap, likelihood_of, pareto_shape
from dindic_models.config import Config, make_model
from dindic_models.encoder import as_encoder

SIGMA2, D = 0.3, 3
RNG = np.random.default_rng(0)
W = torch.from_numpy(0.6 * RNG.normal(size=(D, 16)))
IMAGES = RNG.uniform(size=(6, 1, 4, 4))
X = torch.from_numpy(IMAGES.reshape(6, 16).astype(np.float32)).double()
PRECISION = torch.eye(D, dtype=torch.float64) + W @ W.T / SIGMA2
AXES = torch.linalg.qr(torch.linalg.eigh(PRECISION)[1])[0]
VARS = 1 / torch.linalg.eigvalsh(PRECISION)
TURNED = AXES.T @ W
"""A decoder whose posteriors have independent latents."""


def linear(spread=1.0):
    """A linear model with Gaussian noise; its posterior is exact but for a factor of its variances."""

    def encode(x):
        mean = x.double().flatten(1) @ TURNED.T / SIGMA2 * VARS
        return {"mean": mean, "var": (spread * VARS).expand(len(x), D)}

    return as_encoder(encode, decoder=lambda z: (z @ TURNED).reshape(-1, 1, 4, 4))


def log_likelihood():
    """log N(x; 0, W'W + sigma^2), on average."""
    covariance = (W.T @ W + SIGMA2 * torch.eye(16)).numpy()
    return stats.multivariate_normal(np.zeros(16), covariance).logpdf(X.numpy())


def found(spread=1.0, samples=1000, seed=0):
    rng = np.random.default_rng(seed)
    return bound_gap(linear(spread), IMAGES, rng=rng, noise=f"gaussian:{SIGMA2}", samples=samples)


def test_exact_posteriors_have_no_gap():
    exact = found()
    assert exact.gap == pytest.approx(0, abs=1e-5)
    assert exact.gap_se == pytest.approx(0, abs=1e-5)
    wanted = log_likelihood()
    assert exact.bound == pytest.approx(wanted.mean(), abs=1e-4)
    assert exact.log_likelihood_se == pytest.approx(wanted.std(ddof=1) / np.sqrt(6), abs=1e-4)


def test_the_gap_is_the_divergence_of_the_posterior():
    """Of variances 0.7 times too small: D / 2 (0.7 - 1 - log 0.7) nats."""
    wide = found(0.7, 20_000)
    wanted = D / 2 * (0.7 - 1 - np.log(0.7))
    assert wide.gap == pytest.approx(wanted, abs=5 * wide.gap_se + 1e-3)
    assert wide.gap_se < 0.01
    assert wide.reliable == 1


def test_narrow_posteriors_are_not_reliable():
    """Variances c times too small give weights whose tail has the shape 1 - c."""
    assert np.median(found(0.05, 5000).k) > 0.8
    assert np.median(found(0.6, 5000).k) < 0.6
    assert "may be far too low" in str(found(0.05, 5000))
    assert "far too low" not in str(found(0.9))


def test_the_seed_decides():
    assert np.array_equal(found(0.7).k, found(0.7).k)
    assert found(0.7).gap != found(0.7, seed=1).gap


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.3, 0.7, 1.2])
def test_the_shape_of_a_generalised_pareto_distribution(k):
    """Of 100 samples of 20,000 its average estimate, before it is drawn towards 0.5."""
    rng = np.random.default_rng(0)
    draws = stats.genpareto(k).rvs((100, 20_000), random_state=rng) + 1
    tail = int(3 * np.sqrt(20_000))
    each = np.array([pareto_shape(np.log(row)) for row in draws])
    raw = (each * (tail + 10) - 5) / tail
    assert raw.mean() == pytest.approx(k, abs=5 * raw.std() / np.sqrt(100) + 0.02)


def test_few_weights_are_drawn_towards_a_half():
    """The 20 largest of 100, of shape 1.5, count twice as much as the 0.5 beside them."""
    draws = stats.genpareto(1.5).rvs((300, 100), random_state=np.random.default_rng(0)) + 1
    each = np.array([pareto_shape(np.log(row)) for row in draws])
    wanted = (20 * 1.5 + 10 * 0.5) / 30
    assert each.mean() == pytest.approx(wanted, abs=5 * each.std() / np.sqrt(300) + 0.05)


def test_equal_weights_have_no_tail():
    assert pareto_shape(np.zeros(200)) == -np.inf


def test_a_trained_kind_of_model_states_its_noise():
    model = make_model(Config(latents=2, network="mlp", noise="network"), (1, 4, 4))
    own = bound_gap(model, IMAGES, rng=np.random.default_rng(0), samples=100)
    assert own.gap > 0
    with pytest.raises(ValueError, match="states its noise"):
        bound_gap(model, IMAGES, rng=np.random.default_rng(0), noise="bernoulli")


def test_bernoulli_is_the_cross_entropy():
    encoder = as_encoder(lambda x: x, decoder=torch.sigmoid)
    x, z = torch.rand(4, 6), torch.randn(4, 6)
    log_prob = likelihood_of(encoder, "bernoulli")(x, z)
    wanted = -torch.nn.functional.binary_cross_entropy_with_logits(z, x, reduction="none").sum(1)
    torch.testing.assert_close(log_prob, wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": None}, "states no likelihood .* noise='bernoulli' or noise='gaussian:0.02'"),
        ({"noise": "laplace"}, "bernoulli or gaussian:VAR, VAR above 0; got 'laplace'"),
        ({"noise": "gaussian:-1"}, "VAR above 0"),
        ({"noise": "gaussian:x"}, "VAR above 0"),
        ({"noise": "gaussian"}, "VAR above 0"),
        ({"samples": 99}, "samples must be at least 100; got 99"),
        ({"images": IMAGES[:1]}, "at least two, for an error; got 1"),
        ({"model": as_encoder(lambda x: x)}, "no decoder"),
    ],
)
def test_what_is_refused(change, message):
    given = {"model": linear(), "images": IMAGES, "noise": "gaussian:1"} | change
    with pytest.raises(ValueError, match=message):
        bound_gap(given.pop("model"), given.pop("images"), rng=np.random.default_rng(0), **given)
