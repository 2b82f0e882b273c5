"""The four scales of a posterior's width, wherever a variance is taken."""

import numpy as np
import pytest

from disentangle_indicators import Encodings, Moments, estimate_q_star, indicators, score
from disentangle_indicators.aggregate import certify, density, joint, marginals
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.supervised import channel, evaluate_metrics
from disentangle_indicators.unsupervised import informativeness

RNG = np.random.default_rng(0)
VAR = RNG.uniform(0.05, 0.9, size=(80, 2))
MEAN = RNG.normal(size=(80, 2)) * np.sqrt(1 - VAR)
FACTOR = MEAN[:, :1] > 0
SCALES = {
    "var": VAR,
    "std": np.sqrt(VAR),
    "logvar": np.log(VAR),
    "logstd": 0.5 * np.log(VAR),
}

FUNCTIONS = {
    "score": lambda **width: score(MEAN, **width).mutual_information,
    "Encodings.of": lambda **width: Encodings.of(MEAN, **width).var,
    "Moments.of": lambda **width: Moments.of(MEAN, **width).log_var,
    "indicators": lambda **width: indicators(MEAN, **width).mutual_information,
    "estimate_q_star": lambda **width: estimate_q_star(MEAN, **width).mean_kl,
    "student-t": lambda **width: (
        estimate_q_star(MEAN, **width, family="student-t", nu=8, tol=1e-4).mean_kl
    ),
    "marginals": lambda **width: marginals(MEAN, **width).information,
    "joint": lambda **width: joint(MEAN, **width, rng=0, points=100).mutual_information,
    "certify": lambda **width: certify(MEAN, **width).low,
    "density": lambda **width: density(MEAN, **width, latent=0).information,
    "axes": lambda **width: [pair.gain for pair in axes(MEAN, **width, rng=0).pairs],
    "audit_rotations": lambda **width: (
        audit_rotations("mig", MEAN, FACTOR, **width, rotations=5, search=False, rng=0).null
    ),
    "channel": lambda **width: channel(MEAN, factors=FACTOR, **width).information,
    "evaluate_metrics": lambda **width: (
        evaluate_metrics("mig", MEAN, FACTOR, **width, permutations=2).metrics["mig@default"].value
    ),
    "informativeness": lambda **width: informativeness(MEAN, **width, points=100).wsepin,
}


@pytest.mark.parametrize("scale", ["std", "logvar", "logstd"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_scale_gives_what_the_variance_gives(name, scale):
    expected = FUNCTIONS[name](var=VAR)
    found = FUNCTIONS[name](**{scale: SCALES[scale]})
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_scales_are_refused(name):
    with pytest.raises(ValueError, match="give one of var, std, logvar and logstd; got var, std"):
        FUNCTIONS[name](var=VAR, std=VAR)


@pytest.mark.parametrize("function", [Moments.of, indicators, estimate_q_star])
def test_a_logarithm_in_half_precision_is_no_underflow(function):
    logvar = np.full(MEAN.shape, -20, np.float16)
    mean = MEAN.astype(np.float16)
    with pytest.raises(ValueError, match="var must be positive"):
        function(mean, np.exp(logvar))
    found, expected = function(mean, logvar=logvar), function(mean, np.exp(-20.0) + 0 * MEAN)
    one, other = (getattr(x, "moments", x).var for x in (found, expected))
    np.testing.assert_allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize("function", [Moments.of, estimate_q_star])
def test_means_alone_name_the_four_scales(function):
    with pytest.raises(ValueError, match="missing: give var=, std=, logvar= or logstd="):
        function(MEAN)


def test_batches_name_the_row_of_a_bad_logarithm():
    logvar = np.zeros((3, 2))
    logvar[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"logvar must be finite; logvar\[11, 0\] = nan"):
        Moments.of(np.zeros((3, 2)), logvar=logvar, first_row=10)
