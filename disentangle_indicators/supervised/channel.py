"""Where means look more informative than samples of the posteriors are."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_codes, generator, seed_of, to_numpy
from disentangle_indicators._binning import Index
from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate._marginals import evaluate_arrays
from disentangle_indicators.factors import Factors
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.supervised import _information as info
from disentangle_indicators.supervised._channel_result import SURE, Channel, sentence
from disentangle_indicators.supervised._metric import one_of
from disentangle_indicators.supervised._splits import cluster_notes, shuffles

__all__ = ["channel"]


def channel(
    mean: "Array | Encodings",
    var: Array = None,
    factors: Any = None,
    *,
    codes: Array | None = None,
    bins: int = 20,
    code_bins: str = "count",
    permutations: int = 20,
    rng: np.random.Generator | int = 0,
    **data: Any,
) -> Channel:
    r"""Find latents whose mean has more information on a factor than a sample of them can have.

    .. math:: I(v_k; z_h) \le I(x; z_h) \qquad \text{for } z_h \sim q(z_h | x)

    by data processing, since v_k and z_h have only x in common. A posterior mean is no sample: a
    latent whose means move by a hundredth of the posterior's width can be read off exactly, and a
    metric of means gives it full marks. A cell is overstated where

    .. math:: \hat I(v_k; \mu_h) - b_{hk} - 1.96\, s_{hk} > I(x; z_h),

    with b the greatest estimate over permutations of the rows, which is more than the bias of the
    plug-in estimate, and s its standard error; of G clusters Student's t with G - 1 degrees of
    freedom takes the place of 1.96.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors; or :class:`~disentangle_indicators.Encodings` alone.
        With clusters, standard errors are over clusters, and permutations give each cluster the
        factors of another one.
    factors : Factors, or array, shape (n, K) or (n,)
        As :func:`~disentangle_indicators.supervised.as_table` takes them. Constant factors have
        information 0; of rows without a value both sides are taken without these rows.
    codes : array, shape (n, d), optional
        Codes to compare with samples, `mean` by default. Samples from the posteriors are
        overstated only by chance.
    bins : int
        Of each latent, at least.
    code_bins : {"count", "width"}
        Bins of equal counts, as many as the factors have values if those are more, or of equal
        width.
    permutations : int
        At least 1.
    rng : numpy.random.Generator or int
        Of the permutations.
    **data
        `clusters`, `kinds`, `factor_names`, `threads` and `progress`, as
        :meth:`~disentangle_indicators.Encodings.of` takes them.

    Returns
    -------
    Channel

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on parameters out of range.
    Undefined
        When a factor has no value in any row.

    Notes
    -----
    Cover & Thomas, theorem 2.8.1; the right side is that of
    :func:`~disentangle_indicators.aggregate.marginals`. Beside sampling error, bins only lose
    information, so that they overstate nothing. Where no cell is overstated, metrics of means may
    still be too high: below I(x; z_h) a mean can share more with a factor than a sample does.

    Examples
    --------
    >>> import numpy as np
    >>> factor = np.arange(1000) % 4
    >>> mean = np.stack([factor, 0.01 * factor], axis=1)
    >>> result = channel(mean, np.array([[0.01, 1.0]]).repeat(1000, axis=0), factor)
    >>> print(result.sentence)
    1 of 2 latents looks more informative than it is: the mean of latent 1 shares 1.386 nats with
    factor_0, a sample only 0.000.
    """
    encodings = Encodings.of(mean, var, factors=factors, **data)
    mean = to_numpy(encodings.arrays_on_host("the channel needs")[0])
    z = mean if codes is None else as_codes(codes)
    if z.shape != mean.shape:
        raise ValueError(f"codes must have the shape {mean.shape}; got {z.shape}")
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1; got {permutations}")
    n, d = z.shape
    table = encodings.targets()
    missing = [name for k, name in enumerate(table.names) if not table.present(k).size]
    if missing:
        raise Undefined(f"factors must have values; {missing[0]} has none")
    one_of("code_bins", code_bins, info.CODE_BINS)
    count, groups = encodings.cluster_codes or (None, None)
    p = {"bins": bins, "code_bins": code_bins, "factor_bins": None}
    cells, binned = info.prepare(z, table, p)
    of_code = info.information(cells, binned).mutual
    orders, exact = shuffles(n, permutations, groups, generator(rng))
    null_max = np.zeros_like(of_code)
    for order in orders:
        moved = cells[order], binned
        if not exact:  # clusters of different sizes get each other's factors
            moved = cells, binned._replace(labels=[label[order] for label in binned.labels])
        null_max = np.maximum(null_max, info.information(*moved).mutual)
    of_each = [_standard_errors(*pair, groups) for pair in info.pairs(cells, binned)]
    of_sample, slack = _of_samples(encodings, table)
    errors = np.stack(of_each, axis=1)
    draws = n if count is None else count
    reach = SURE * widening(draws) * errors if draws > 1 else np.inf  # one draw shows nothing
    excess = of_code - null_max - reach - of_sample - slack
    pairs = _positive(excess)
    return Channel(
        n=n,
        factors=table.names,
        code_information=of_code,
        null_max=null_max,
        standard_errors=errors,
        sample_information=of_sample,
        information=encodings.marginals.information,
        overstated=excess > 0,
        cells=tuple((h, table.names[k]) for h, k in pairs),
        sentence=sentence(
            [(h, table.names[k], of_code[h, k], of_sample[h, k]) for h, k in pairs],
            d,
            "mean" if codes is None else "code",
        ),
        parameters={
            "bins": bins,
            "code_bins": code_bins,
            "permutations": permutations,
            "seed": seed_of(rng),
            "clusters": count,
        },
        notes=cluster_notes(groups, exact, "standard errors are over clusters"),
        provenance=Provenance(
            "disentangle_indicators.supervised.channel",
            encodings.inputs,
            {"bins": bins, "code_bins": code_bins, "permutations": permutations},
            seed_of(rng),
        ),
    )


def _of_samples(encodings: Encodings, table: Factors) -> tuple[Float, Float]:
    """Return I(x; z_h) over the rows where each factor has a value, and its error: (d, K)."""
    mean, var = (to_numpy(x) for x in encodings.arrays_on_host("the channel needs"))
    whole = encodings.marginals
    of_sample = np.repeat(whole.information[:, None], table.number, axis=1)
    slack = np.repeat((whole.quadrature_errors + whole.shortfall)[:, None], table.number, axis=1)
    for k in range(table.number):
        rows = table.present(k)
        if len(rows) < len(mean):
            part = evaluate_arrays(mean[rows], var[rows], threads=encodings.threads).marginals
            of_sample[:, k] = part.information
            slack[:, k] = part.quadrature_errors + part.shortfall
    return of_sample, slack


def _positive(excess: Float) -> list[tuple[int, int]]:
    """Return the cells above 0, the greatest first."""
    order = np.argsort(-excess, axis=None, kind="stable")
    found = [np.unravel_index(i, excess.shape) for i in order[: int(np.sum(excess > 0))]]
    return [(int(h), int(k)) for h, k in found]


def _standard_errors(cells: Index, label: Index, clusters: Index | None) -> Float:
    """Return the standard errors (d,) of the information: the spread of the log ratio of rows.

    With clusters, of its sums over clusters.
    """
    rows = label >= 0
    cells, label = cells[rows], label[rows]
    groups = None if clusters is None else clusters[rows]
    draws = 0 if groups is None else len(np.unique(groups))
    n, values = len(label), int(label.max()) + 1
    factor = np.bincount(label, minlength=values)
    out = np.empty(cells.shape[1])
    for h, column in enumerate(cells.T):
        flat = column * values + label
        both, code = np.bincount(flat), np.bincount(column)
        ratio = np.log(both[flat]) + np.log(n) - np.log(code[column]) - np.log(factor[label])
        if groups is None:
            out[h] = np.sqrt(np.var(ratio) / max(n - 1, 1))
        else:
            sums = np.bincount(groups, ratio - ratio.mean())
            out[h] = np.sqrt(np.sum(sums**2) * draws / max(draws - 1, 1)) / n
    return out
