"""What score() takes in place of arrays, and what it refuses in words."""

import numpy as np
import pytest

from disentangle_indicators import Encodings, indicators, read_encodings, score

RNG = np.random.default_rng(0)
VAR = RNG.uniform(0.1, 0.9, size=(50, 3))
MEAN = RNG.normal(size=(50, 3)) * np.sqrt(1 - VAR)


def expected():
    return score(MEAN, var=VAR).mutual_information


@pytest.fixture
def path(tmp_path):
    name = tmp_path / "b1.npz"
    np.savez(name, mu=MEAN, logvar=np.log(VAR), labels=np.arange(50) % 2)
    return name


@pytest.mark.parametrize("form", [lambda p: p, str, np.load, read_encodings])
def test_files_are_scored(path, form):
    card = score(form(path))
    assert card.mutual_information == pytest.approx(expected())
    assert card.name == str(path)
    assert card.factors[0]["name"] == "labels"


def test_a_file_takes_what_belongs_to_the_rows(path):
    card = score(path, clusters=np.arange(50) // 2, prior_var=2.0, name="mine")
    assert (card.n_clusters, card.prior_var, card.name) == (25, 2.0, "mine")
    with pytest.raises(ValueError, match="logvar= goes with arrays"):
        score(path, logvar=MEAN)


def test_a_file_is_only_opened_by_score(path):
    with pytest.raises(
        ValueError, match=r"mean is a file: open it with read_encodings\('.*npz'\)"
    ):
        indicators(str(path))
    with pytest.raises(ValueError, match="mean is a file"):
        Encodings.of(np.load(path))


class Distribution:
    """The base class of distributions, of every library."""


class Normal(Distribution):
    def __init__(self, loc, scale):
        self.mean, self.stddev = loc, scale


class MultivariateNormalDiag(Distribution):  # methods in place of attributes
    def mean(self):
        return MEAN

    def stddev(self):
        return np.sqrt(VAR)


class DiagonalGaussianDistribution:
    mean, logvar, std = MEAN, np.log(VAR), None


class Independent(Distribution):
    def __init__(self, inner):
        self.base_dist = inner


NORMAL = Normal(MEAN, np.sqrt(VAR))


@pytest.mark.parametrize(
    "given",
    [NORMAL, MultivariateNormalDiag(), DiagonalGaussianDistribution(), Independent(NORMAL)],
)
def test_gaussian_distributions_are_scored(given):
    assert score(given).mutual_information == pytest.approx(expected())
    assert indicators(given).mutual_information == pytest.approx(expected())
    with pytest.raises(ValueError, match=f"{type(given).__name__} has a width of its own; var="):
        score(given, var=VAR)


OTHERS = {
    "MultivariateNormal": "full covariance",
    "MixtureSameFamily": "mixture",
    "TransformedDistribution": "flow",
    "Laplace": "not Gaussian",
    "VonMises": "angles",
    "VonMisesFisher": "sphere",
    "Categorical": "discrete",
    "Gumbel": "Give its mean",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_posteriors_are_refused_in_words(name):
    given = type(name, (Normal.__base__,), {"mean": MEAN, "stddev": VAR})()
    for each in (given, Independent(given)):
        with pytest.raises(
            ValueError, match=f"independent latents; {name} is not.*{OTHERS[name][:8]}"
        ):
            score(each)


def test_torch_distributions():
    torch = pytest.importorskip("torch")
    made = torch.distributions
    mean, std = torch.as_tensor(MEAN), torch.as_tensor(np.sqrt(VAR))
    normal = made.Normal(mean, std)
    for given in (normal, made.Independent(normal, 1)):
        assert score(given).mutual_information == pytest.approx(expected())
    full = made.MultivariateNormal(mean, torch.diag_embed(std))
    mixture = made.MixtureSameFamily(made.Categorical(torch.ones(50, 3)), normal)
    refused = [full, mixture, made.Laplace(mean, std), made.VonMises(mean, std)]
    refused += [made.LogNormal(mean, std), made.Independent(made.Laplace(mean, std), 1)]
    for given in refused:
        with pytest.raises(ValueError, match="posteriors must be Gaussians with independent"):
            score(given)


def test_torch_tensors_without_numbers_are_refused():
    torch = pytest.importorskip("torch")
    std = torch.as_tensor(np.sqrt(VAR))
    cases = {
        r"mean is a sparse tensor: give mean.to_dense\(\)": torch.as_tensor(MEAN).to_sparse(),
        "mean is on the meta device": torch.empty(50, 3, device="meta"),
    }
    for message, mean in cases.items():
        with pytest.raises(ValueError, match=message):
            score(mean, std=std)
        with pytest.raises(ValueError, match=message):
            indicators(mean, std)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_jax_arrays(dtype):
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed: NOT tested")
    mean, logvar = (jnp.asarray(x).astype(dtype) for x in (MEAN, np.log(VAR)))
    card = score(mean, logvar=logvar, clusters=jnp.arange(50) // 5, labels=jnp.arange(50) % 2)
    assert card.mutual_information == pytest.approx(expected(), rel=0.02)
    assert card.n_clusters == 10
    assert indicators(mean, jnp.exp(logvar)).d == 3


def test_the_second_array_needs_a_name():
    with pytest.raises(ValueError, match="name of its scale: give it as var=, std=, logvar= or"):
        score(MEAN, VAR)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((MEAN, VAR), "mean is a pair of arrays: give the second one by its name"),
        ([MEAN, VAR], "mean is a pair of arrays"),
        ({"mu": MEAN, "logvar": VAR}, "mean is a dict with the keys mu, logvar: give its arrays"),
        (
            np.zeros((2, 5, 3)),
            r"\(2, 5, 3\).*reshape\(2, -1\) makes every entry.*reshape\(-1, 3\)",
        ),
        (
            np.zeros((2, 4, 8, 8)),
            r"np.moveaxis\(x, 1, -1\).reshape\(-1, 4\) makes .*=np.repeat\(np.arange\(2\), 64\)",
        ),
    ],
)
def test_what_is_no_matrix_is_refused_with_the_way_out(given, message):
    with pytest.raises(ValueError, match=message):
        score(given, var=np.ones(np.shape(given)) if isinstance(given, np.ndarray) else VAR)


def test_the_ways_to_flatten_are_right():
    mean, rows = RNG.normal(size=(6, 4, 2, 3)), 6
    flat = np.moveaxis(mean, 1, -1).reshape(-1, 4)
    assert flat.shape == (36, 4)
    np.testing.assert_array_equal(flat[7], mean[1, :, 0, 1])
    assert score(flat, clusters=np.repeat(np.arange(rows), 6)).d == 4


@pytest.mark.parametrize("prior", [Normal(0, 1), np.zeros((500, 3)), "vamp"])
def test_other_priors_are_refused_in_words(prior):
    with pytest.raises(ValueError, match=r"mixture, a flow or samples.*Definitions 1, 4 and 5"):
        score(MEAN, var=VAR, prior_mean=prior)
