"""Marginals from the exact tree alone, the witness of every faster way."""

import pytest

from disentangle_indicators.aggregate import _one_latent, marginals


def tree_marginals(mean, var, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_one_latent, "FEWEST", len(mean) + 1)
        return marginals(mean, var, **options)
