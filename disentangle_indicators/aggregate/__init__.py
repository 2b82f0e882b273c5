"""The aggregated posterior q(z) = 1/n sum q(z|x_m) itself, which the definitions only bound."""

from disentangle_indicators.aggregate._certify import Certificate, certify
from disentangle_indicators.aggregate._density import Density, density
from disentangle_indicators.aggregate._joint import joint
from disentangle_indicators.aggregate._joint_result import Joint
from disentangle_indicators.aggregate._marginals import Marginals, marginals

__all__ = [
    "Certificate",
    "Density",
    "Joint",
    "Marginals",
    "certify",
    "density",
    "joint",
    "marginals",
]
