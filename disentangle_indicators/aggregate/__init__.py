"""The aggregated posterior q(z) = 1/n sum q(z|x_m) itself, which the definitions only bound."""

from disentangle_indicators.aggregate._certificate_result import Certificate
from disentangle_indicators.aggregate._certify import certify
from disentangle_indicators.aggregate._density import density
from disentangle_indicators.aggregate._density_result import Density
from disentangle_indicators.aggregate._joint import joint
from disentangle_indicators.aggregate._joint_result import Joint
from disentangle_indicators.aggregate._marginals import marginals
from disentangle_indicators.aggregate._marginals_result import Marginals

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
