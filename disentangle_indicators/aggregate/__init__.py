"""The aggregated posterior q(z) = 1/n sum q(z|x_m) itself, which the definitions only bound."""

from disentangle_indicators.aggregate._certificate_result import Certificate
from disentangle_indicators.aggregate._certify import certify
from disentangle_indicators.aggregate._density import density
from disentangle_indicators.aggregate._density_result import Density
from disentangle_indicators.aggregate._joint import joint
from disentangle_indicators.aggregate._joint_result import Joint
from disentangle_indicators.aggregate._marginals import marginals
from disentangle_indicators.aggregate._marginals_result import Marginals
from disentangle_indicators.aggregate._one_pass import one_pass_marginals
from disentangle_indicators.aggregate._sketch import MarginalSketch

__all__ = [
    "Certificate",
    "Density",
    "Joint",
    "MarginalSketch",
    "Marginals",
    "certify",
    "density",
    "joint",
    "marginals",
    "one_pass_marginals",
]
