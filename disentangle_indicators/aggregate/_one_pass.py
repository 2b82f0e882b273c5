"""The marginals of more rows than one wants to hold: from one pass, by the sketch.

The sketch gives entropies, their standard errors and a bound of its own error. Latents with a bound
that is too large are read again, for the exact tree, if they are few. Otherwise only bounds are left.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from disentangle_indicators._array import Float, on_host, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._row_sample import noting
from disentangle_indicators.aggregate._cells import places
from disentangle_indicators.aggregate._marginals import (
    from_entropies,
    picked_rows,
    population_errors,
)
from disentangle_indicators.aggregate._marginals_result import Marginals
from disentangle_indicators.aggregate._one_latent import Line, row_surprise, tree_entropy, tree_of
from disentangle_indicators.aggregate._shortfall import Neighbours, shortfall
from disentangle_indicators.aggregate._sketch import MarginalSketch
from disentangle_indicators.aggregate._transform import Latent, at_rows
from disentangle_indicators.posteriors import Encodings

__all__ = ["one_pass_marginals"]

CERTIFIED = 0.01
"""Nats by which the sketch may be wrong, as far as its guarantee or its estimate say."""

NEGATIVE = 1e-4
"""Negative mass of a density from which on its expansion has failed."""

AGAIN = 10_000_000
"""Entries of the latents that are read again at most: about ten seconds."""

INDEPENDENT = "Rows are taken as independent: copies are not looked for where rows are read one block at a time."


def one_pass_marginals(encodings: Encodings) -> Marginals:
    """Compute the marginals from one pass over the rows, of any number.

    Parameters
    ----------
    encodings : Encodings
        With variances, and rows that are independent. They are read in blocks.

    Returns
    -------
    Marginals
        Entropies are those of :func:`marginals` to about 1e-6 nats; `quadrature_errors` says how
        near they are.

    Raises
    ------
    Undefined
        For means only, and with clusters.

    Notes
    -----
    Latents with posteriors too narrow for sums are read again where that takes at most about ten
    seconds. Otherwise they count as saturated: their information is a lower bound.

    A fast Gauss transform (Greengard and Strain, 1991) over cells of mean and variance, see
    :class:`MarginalSketch`. Standard errors of single latents are those of all rows, those of
    totals come from 4,096 rows at even steps.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.choice([-0.98, 0.98], size=(1000, 1))  # one bit, and a Gaussian's S = 1
    >>> encodings = Encodings.of(mean, np.full((1000, 1), 0.04))
    >>> one_pass_marginals(encodings).information.round(3)
    array([0.69])
    """
    if encodings.means_only:
        raise Undefined("marginals need the posterior variances; there are only means")
    if encodings.cluster_codes is not None:
        raise Undefined("marginals in one pass need rows that are independent; there are clusters")
    n, d = encodings.n, encodings.d
    picked = picked_rows(n)
    mean, var = np.empty((len(picked), d)), np.empty((len(picked), d))
    batches = ((on_host(m), on_host(v)) for m, v in encodings.batches())
    sketch = MarginalSketch.of_batches(noting(batches, picked, mean, var))
    made = of_sketch(sketch, mean, var, encodings)
    return replace(
        made,
        provenance=Provenance(
            "disentangle_indicators.aggregate.one_pass_marginals", encodings.inputs
        ),
    )


def of_sketch(
    sketch: MarginalSketch, mean: Float, var: Float, encodings: Encodings | None = None
) -> Marginals:
    """Compute the marginals from a sketch, and the errors of totals from some of its rows (s, d).

    Doubtful latents are read again from the encodings. Without these, or where that takes long,
    the entropy is lowered by the bound of its error: the information becomes a lower bound.
    """
    n, d = sketch.n, sketch.d
    second, log_var = np.array([sketch.moments(h) for h in range(d)]).T
    entropy, errors, short = np.empty((3, d))
    surprise, sampling = np.empty_like(mean), {}
    doubtful: dict[int, float] = {}
    near = Neighbours(len(mean), None)
    latents: Iterable[int] = range(d)
    if encodings is not None and encodings.progress is not None:
        latents = encodings.progress(latents, "marginals", d)
    for h in latents:
        found = sketch.latent(h)
        column = np.ascontiguousarray(mean[:, h]), np.ascontiguousarray(var[:, h])
        entropy[h], errors[h] = found.entropy, found.estimate
        short[h] = shortfall(Line(n, found.density), *column, near)
        surprise[:, h] = at_rows(found, places(found.cells, *column))
        sampling[h] = sketch.standard_errors(h, found)
        if _is_doubtful(found, short[h]):
            doubtful[h] = max(found.guarantee, found.estimate)
    bounded = np.zeros(d, dtype=bool)
    if encodings is not None and n * len(doubtful) <= AGAIN:
        for h, column in _columns(encodings, list(doubtful)):
            tree = tree_of(h, *column)
            entropy[h], errors[h] = tree_entropy(tree)
            short[h] = shortfall(tree, *column, Neighbours(n, None))
            surprise[:, h] = row_surprise(*column, picked_rows(n))
            del sampling[h]
    else:
        for h, error in doubtful.items():
            entropy[h] -= error
            bounded[h] = True
    rows = mean, var, surprise
    result = from_entropies(entropy, errors, short, second, log_var, rows, n, bounded=bounded)
    for h, of_latent in sampling.items():
        for name, error in of_latent.items():
            result.standard_errors[name][h] = error
    return replace(
        result,
        dependence=_sentence(np.flatnonzero(bounded)),
        population_errors=population_errors(result.standard_errors, result.shortfall),
    )


def _sentence(bounded: Any) -> str:
    """Return what the reader of the table must know of its rows, and of latents with bounds."""
    if not len(bounded):
        return INDEPENDENT
    names = ", ".join(map(str, bounded[:8])) + (", ..." if len(bounded) > 8 else "")
    some = f"latent {names} has" if len(bounded) == 1 else f"latents {names} have"
    return f"{INDEPENDENT} Sums give only a bound where posteriors are very narrow: {some} a ≥."


def _is_doubtful(found: Latent, short: float) -> bool:
    """Whether the error of the sketch is too large, beside the error that n rows have anyway."""
    wide = found.guarantee > CERTIFIED and max(found.estimate, short) > CERTIFIED
    return wide or found.estimate > CERTIFIED or found.negative > NEGATIVE


def _columns(
    encodings: Encodings, latents: list[int]
) -> Iterator[tuple[int, tuple[Float, Float]]]:
    """Read some latents again, whole."""
    if not latents:
        return
    columns = np.empty((2, len(latents), encodings.n))
    first = 0
    for pair in encodings.batches():
        last = first + pair[0].shape[0]
        for kept, each in zip(columns, pair, strict=True):
            kept[:, first:last] = to_numpy(each)[:, latents].T
        first = last
    yield from ((h, (columns[0, k], columns[1, k])) for k, h in enumerate(latents))
