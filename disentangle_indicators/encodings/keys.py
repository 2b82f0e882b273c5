"""Which array of a file is the mean, which is the scale, and what the scale means.

Names decide, values never do: in a model with exact posteriors the aggregated variance is within
a few per cent of 1 under the right convention and often under a wrong one, and unused latents have
var = std = 1 in any case. The literal tables below are the whole knowledge.
"""

import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from disentangle_indicators._array import as_array, variance
from disentangle_indicators._scales import SCALES, repeated
from disentangle_indicators.encodings._stored import (
    ENCODE,
    AmbiguousEncodings,
    Contents,
    Stored,
    one_of,
)
from disentangle_indicators.encodings._views import halves, packed_as

NATIVE = "dindic.encodings/1"
"""The `format` entry of the metadata of the files that write_encodings makes."""

ALIASES = {
    "mean": (
        *("mean", "mu", "mus", "loc", "z_mean", "z_loc", "qzm", "qz_m", "latent_qzm", "embedding"),
        *("ic_mean", "co_means", "post_mean", "m_q"),
    ),
    "var": ("var", "variance", "qzv", "qz_v", "latent_qzv"),
    "std": ("std", "stddev", "z_std", "ic_std", "co_stds"),
    "logvar": (
        *("logvar", "log_var", "z_log_var", "z_logvar", "log_covariance", "log_sigma_x2"),
        "post_logvar",
    ),
    "logstd": ("logstd", "log_std", "z_log_std"),
}
"""Names whose meaning all their known users agree on."""

AMBIGUOUS = {
    "scale": (
        *("scale", "z_scale", "sigma", "log_sigma", "z_log_sigma", "logs", "logs_q", "cov"),
        *("tree_var", "mol_var", "latents_std"),
    ),
    "mean": ("latents_mean",),
    "packed": ("moments", "parameters"),
}
"""Names under which different projects store different things.

z_scale is a standard deviation in Pyro and comes before a softplus in Oobleck; tree_var and
mol_var are negative log-variances in JT-VAE; latents_mean and latents_std often describe the
whole data set. moments and parameters hold the mean and the log variance (LDM, diffusers) or the
standard deviation (EDM2) one after the other.
"""

SCHEMAS = {
    ("qzm", "qzv"): ("scvi-tools", "var"),
    ("qz_m", "qz_v"): ("scvi-tools", "var"),
    ("latent_qzm", "latent_qzv"): ("scvi-tools", "var"),
    ("embedding", "log_covariance"): ("pythae", "logvar"),
    ("ic_mean", "ic_std"): ("LFADS", "std"),
    ("co_means", "co_stds"): ("LFADS", "std"),
    ("z_mean", "z_log_var"): ("Keras", "logvar"),
    ("mu", "log_sigma_x2"): ("lerobot", "logvar"),
}
"""Pairs of names that one library writes together: (mean, scale) -> (library, convention)."""

_PREFIX = re.compile(r"^(x_)?_?(scvi_|scanvi_|totalvi_|multivi_|ldvae_)?")
_ROLES = {name: kind for kind, names in ALIASES.items() for name in names} | {
    name: f"ambiguous {kind}" for kind, names in AMBIGUOUS.items() for name in names
}
_WEIGHT = re.compile(
    r"(.*[./])?((in_proj_)?(weight|bias)(_\w+)?|kernel|running_(mean|var)|num_batches_tracked)"
)
_ASK_SCALE = f"scale={one_of(SCALES)}"


class Choice(NamedTuple):
    """The resolved keys: `scale_key` and `scale` are "" when the file holds means only."""

    mean_key: str
    scale_key: str
    scale: str
    schema: str
    notes: tuple[str, ...] = ()


def role(key: str) -> str | None:
    """Return what a key names, whatever its case, its prefixes and the folders before it.

    Returns
    -------
    str or None
        "mean", one of the four scales, "ambiguous mean", "ambiguous scale", "ambiguous packed",
        or None.

    Examples
    --------
    >>> role("X_latent_qzm"), role("_scvi_latent_qzv"), role("Sigma"), role("weights")
    ('mean', 'var', 'ambiguous scale', None)
    """
    key = key.lower().rpartition("/")[2]
    bare = key.strip("_") if key.startswith("_") else key
    return _ROLES.get(key) or _ROLES.get(_PREFIX.sub("", key)) or _ROLES.get(bare)


def choose(
    contents: Contents,
    mean_key: str | None = None,
    scale_key: str | None = None,
    scale: str | None = None,
) -> Choice:
    """Decide by the arguments, else by our own metadata, else by schema, else by alias.

    Raises
    ------
    AmbiguousEncodings
        When two keys could play one role, or the convention of the scale is not known.
    ValueError
        When an argument names a key that is not there, or the arrays are the weights
        of a network.
    """
    if scale is not None and scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    for argument, key in (("mean_key", mean_key), ("scale_key", scale_key)):
        if key is not None and key not in contents.arrays:
            raise ValueError(f"{argument}={key!r} is not in the file; it has {contents.listing()}")
    written = contents.metadata.get("format", "")
    if written.startswith(NATIVE.partition("/")[0]) and written != NATIVE:
        raise ValueError(f"the file has the format {written}, and this version reads {NATIVE}")
    if written == NATIVE and not (mean_key or scale_key or scale):
        return _native(contents)
    _refuse_weights(contents, mean_key, asked_twice=scale_key is not None and scale is not None)
    mean = mean_key or _mean(contents)
    partner, library, convention = _schema(contents, mean)
    if scale_key is not None:
        key = scale_key
    elif partner and scale in (None, convention):
        key = partner
    else:
        key = _scale(contents, mean, scale)
    if not key:
        return Choice(mean, "", "", "flag" if mean_key else "name", _means_only(contents, mean))
    shape = contents.arrays[mean].shape
    if (
        contents.arrays[key].shape != shape
        and repeated(contents.arrays[key].shape, shape, repr(key)) is None
    ):
        raise ValueError(
            f"the scale must have the shape of the mean; {contents.arrays[mean]}, "
            f"{contents.arrays[key]}"
        )
    if scale_key is None and contents.arrays[key].shape != shape:
        _refuse_of_data_set(contents, mean, key)
    named = role(key)
    if scale is not None:
        note = (
            f"{key!r} is read as {scale}, as scale={scale!r} asks, though its name means {named}"
        )
        odd = named in SCALES and named != scale
        return Choice(mean, key, scale, "flag", (note,) if odd else ())
    if key == partner:
        return Choice(mean, key, convention, library)
    if named in SCALES:
        return Choice(mean, key, named, "name")
    hint = _hint(contents.arrays[mean], contents.arrays[key])
    raise AmbiguousEncodings(
        f"the name {key!r} does not say whether it holds variances, standard deviations or their "
        f"logarithms{hint}; add {_ASK_SCALE}"
    )


def _refuse_weights(contents: Contents, mean_key: str | None, *, asked_twice: bool) -> None:
    """Refuse the weights of a network, unless arguments name an array of them and its scale.

    Posteriors can be the weights of a network: those of an embedding with one row per sample.
    """
    weights = [key for key in contents.arrays if _WEIGHT.fullmatch(key)]
    if mean_key is None:
        refused = 2 * len(weights) > len(contents.arrays)
    else:
        refused = mean_key in weights and not asked_twice
    if len(weights) < 2 or not refused:
        return
    named = _keys(contents, "mean")
    more = f"; if {named[0]!r} contains encodings, add mean_key={named[0]!r}" if named else ""
    raise ValueError(
        f"these are the weights of a network ({len(weights)} arrays such as {weights[0]!r}), not "
        f"encodings; {ENCODE}{more}"
    )


def _refuse_of_data_set(contents: Contents, mean: str, key: str) -> None:
    """Refuse a shorter scale that has a mean of its own shape beside it: both are of the data."""
    size = contents.arrays[key].shape
    own = [
        k for k in _keys(contents, "mean", "ambiguous mean") if contents.arrays[k].shape == size
    ]
    if own:
        raise AmbiguousEncodings(
            f"{own[0]!r} and {key!r} have the shape {size}: they may be of the data set and not of "
            f"posteriors; if {key!r} is the width of the posteriors, add mean_key={mean!r} "
            f"scale_key={key!r}"
        )


def _native(contents: Contents) -> Choice:
    scale = contents.metadata.get("scale", "")
    missing = {"mean", *([scale] if scale else [])} - set(contents.arrays)
    if missing or (scale and scale not in SCALES):
        raise ValueError(
            f"the metadata say {NATIVE} with the scale {scale!r}, but the keys are "
            f"{contents.listing()}"
        )
    if scale and contents.arrays[scale].shape != contents.arrays["mean"].shape:
        raise ValueError(
            f"the file is damaged: {contents.arrays['mean']} and {contents.arrays[scale]} must "
            "have the same shape"
        )
    notes = () if scale else _means_only(contents, "mean")
    return Choice("mean", scale, scale, "native", notes)


def _keys(contents: Contents, *roles: str, numbers: bool = False) -> list[str]:
    """Return the keys of arrays with one of these roles, or of single numbers; never of text."""
    return [
        key
        for key, array in contents.arrays.items()
        if bool(array.shape) != numbers
        and not array.dtype.startswith(("str", "bytes"))
        and role(key) in roles
    ]


def _is_shorter(scale: Stored, mean: Stored) -> bool:
    """Whether a scale would have to be repeated: under a vague name it is one of the data set."""
    try:
        return scale.shape != mean.shape and repeated(scale.shape, mean.shape, "") is not None
    except ValueError:
        return True


def _mean(contents: Contents) -> str:
    found = _keys(contents, "mean")
    if len(found) > 1:
        found = [key for key in found if len(contents.arrays[key].shape) > 1] or found
    if len(found) > 1:
        raise AmbiguousEncodings(
            f"{' and '.join(map(repr, found))} could each be the mean; "
            f"add mean_key={one_of(found)}"
        )
    if found:
        return found[0]
    if packed := _keys(contents, "ambiguous packed"):
        raise AmbiguousEncodings(
            f"{contents.arrays[packed[0]]} holds the mean and the scale one after the other on axis "
            "1; add packed='mean,logvar' or 'mean,std'"
        )
    if vague := _keys(contents, "ambiguous mean"):
        raise AmbiguousEncodings(
            f"{vague[0]!r} often is one vector for the whole data set; if it holds the posterior "
            f"mean of every sample, add mean_key={vague[0]!r}"
        )
    for pair in (("0", "1"), ("arr_0", "arr_1")):
        if tuple(contents.arrays) == pair:
            raise AmbiguousEncodings(
                f"two arrays without names could be anything; if the mean comes first, add "
                f"mean_key={pair[0]!r} scale_key={pair[1]!r} {_ASK_SCALE}"
            )
    tables = _tables(contents)
    raise AmbiguousEncodings(
        f"no key names a mean ({', '.join(ALIASES['mean'])}); the file has {contents.listing()}; "
        f"add mean_key={tables[0] if len(tables) == 1 else 'KEY'!r}"
    )


def _tables(contents: Contents) -> list[str]:
    """Return the keys of arrays with two axes or more."""
    return [key for key, array in contents.arrays.items() if len(array.shape) > 1]


def choose_packed(contents: Contents, key: str | None, packed: str) -> tuple[Contents, Choice]:
    """Split an array that holds the means and a scale one after the other along axis 1.

    Returns
    -------
    contents : Contents
        With the halves under names of their own.
    choice : Choice

    Raises
    ------
    AmbiguousEncodings
        When several arrays could be the one.
    ValueError
        When there is none, or its axis has no halves.
    """
    first, second = packed_as(packed)
    found = [key] if key is not None else []
    for some in (_keys(contents, "ambiguous packed"), _keys(contents, "mean"), _tables(contents)):
        found = found or some
    if len(found) > 1:
        raise AmbiguousEncodings(
            f"{' and '.join(map(repr, found))} could each be the packed array; "
            f"add mean_key={one_of(found)}"
        )
    if not found or found[0] not in contents.arrays:
        raise ValueError(f"there is no packed array {key or ''!r}; it has {contents.listing()}")
    parts = dict(zip((first, second), halves(contents.arrays[found[0]]), strict=True))
    mean = parts.pop("mean")
    ((scale, widths),) = parts.items()
    arrays = {**contents.arrays, mean.name: mean, widths.name: widths}
    return replace(contents, arrays=arrays), Choice(mean.name, widths.name, scale, "flag")


def _schema(contents: Contents, mean: str) -> tuple[str, str, str]:
    """Return the key that one library writes beside this mean, the library and its convention."""
    lower = {key.lower(): key for key in contents.arrays}
    for (mean_name, scale_name), (library, convention) in SCHEMAS.items():
        prefix = mean.lower().removesuffix(mean_name)
        if prefix == mean.lower() or (prefix and prefix[-1] not in "_./"):
            continue
        if prefix + scale_name in lower:
            return lower[prefix + scale_name], library, convention
    return "", "", ""


def _scale(contents: Contents, mean: str, scale: str | None) -> str:
    arrays = contents.arrays
    clear = [key for key in _keys(contents, *SCALES) if key != mean]
    clear = clear or _keys(contents, *SCALES, numbers=True)
    vague = [
        key
        for key in _keys(contents, "ambiguous scale")
        if key != mean and not _is_shorter(arrays[key], arrays[mean])
    ]
    said = [key for key in clear if role(key) == scale]
    if len(said) == 1:
        return said[0]
    if clear:
        vague = [key for key in vague if arrays[key].shape == arrays[mean].shape]
    found = clear + vague
    if len(found) > 1:
        raise AmbiguousEncodings(
            f"{' and '.join(map(repr, found))} could each be the scale; "
            f"add scale_key={one_of(found)}"
        )
    if not found and scale is not None:
        raise AmbiguousEncodings(
            f"no key names a scale; the file has {contents.listing()}; add scale_key='KEY'"
        )
    return found[0] if found else ""


def _means_only(contents: Contents, mean: str) -> tuple[str, ...]:
    shape = contents.arrays[mean].shape
    alike = [key for key, array in contents.arrays.items() if array.shape == shape and key != mean]
    if not alike:
        note = "the file holds no scale: means only"
        even = len(shape) > 1 and shape[1] % 2 == 0
        more = "; if the second half of axis 1 is a scale, add packed='mean,logvar' or 'mean,std'"
        return (note + more * even,)
    note = f"no key names a scale: means only; if it is one of {', '.join(map(repr, alike[:8]))}"
    return (f"{note}, add scale_key={alike[0]!r} {_ASK_SCALE}",)


def _hint(mean: Stored, scale: Stored) -> str:
    """Say which convention would put the aggregated variance of the first rows nearest to 1."""
    rows = max(1, 2**20 // max(1, int(np.prod(mean.shape[1:]))))
    try:
        z, values = next(mean.blocks(rows)), next(scale.blocks(rows))
    except (ValueError, OSError, StopIteration):
        return ""
    totals = {}
    for name in SCALES:
        try:
            var = variance(values, name)
            totals[name] = float(np.mean(np.square(as_array(z, "mean"), dtype=np.float64) + var))
        except ValueError:
            continue
    totals = {name: total for name, total in totals.items() if np.isfinite(total) and total > 0}
    if not totals:
        return ""
    best = min(totals, key=lambda name: abs(np.log(totals[name])))
    return (
        f" (a hint, no proof: read as {best}, the aggregated variance would be {totals[best]:.3g})"
    )
