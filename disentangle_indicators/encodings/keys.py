"""Which array of a file is the mean, which is the scale, and what the scale means."""

import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from disentangle_indicators._array import as_array, variance
from disentangle_indicators._scales import SCALES, repeated
from disentangle_indicators.encodings._ranking import (
    ASK_SCALE,
    find_mean,
    keys_of,
    near,
    partner_of,
    tables_of,
)
from disentangle_indicators.encodings._stored import (
    ENCODE,
    AmbiguousEncodings,
    Contents,
    Stored,
    one_of,
)
from disentangle_indicators.encodings._views import halves, packed_as
from disentangle_indicators.encodings.names import NATIVE, is_embedding, may_be_scale, role

_WEIGHT = re.compile(
    r"(.*[./])?((in_proj_)?(weight|bias)(_\w+)?|kernel|running_(mean|var)|num_batches_tracked)"
)


class Choice(NamedTuple):
    """The resolved keys: `scale_key` and `scale` are "" when the file holds means only.

    `layout` and `prior` are what the schema says of the axes and of the prior, "" for nothing.
    """

    mean_key: str
    scale_key: str
    scale: str
    schema: str
    notes: tuple[str, ...] = ()
    layout: str = ""
    prior: str = ""


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
    mean_key, scale_key = (
        _given(contents, argument, key)
        for argument, key in (("mean_key", mean_key), ("scale_key", scale_key))
    )
    written = contents.metadata.get("format", "")
    if written.startswith(NATIVE.partition("/")[0]) and written != NATIVE:
        raise ValueError(f"the file has the format {written}, and this version reads {NATIVE}")
    if written == NATIVE and not (mean_key or scale_key or scale):
        return _native(contents)
    _refuse_weights(contents, mean_key, asked_twice=scale_key is not None and scale is not None)
    mean, notes = (mean_key, ()) if mean_key else find_mean(contents)
    partner, schema = partner_of(contents, mean)
    if scale_key is not None:
        key = scale_key
    elif is_embedding(mean) and scale is None:
        key = ""
    elif schema is not None and scale in (None, schema.scale):
        key = partner
    else:
        key = _scale(contents, mean, scale)
    _refuse_objects(contents, mean, key)
    if not key:
        notes += _means_only(contents, mean)
        return Choice(mean, "", "", "flag" if mean_key else "name", notes)
    _check_shapes(contents, mean, key, chosen=scale_key is None)
    named = role(key)
    if scale is not None:
        note = (
            f"{key!r} is read as {scale}, as scale={scale!r} asks, though its name means {named}"
        )
        odd = named in SCALES and named != scale
        return Choice(mean, key, scale, "flag", notes + ((note,) if odd else ()))
    if key == partner and schema is not None:
        return Choice(mean, key, schema.scale, schema.library, notes, schema.layout, schema.prior)
    if named in SCALES:
        return Choice(mean, key, named, "name", notes)
    hint = _hint(contents.arrays[mean], contents.arrays[key])
    raise AmbiguousEncodings(
        f"the name {key!r} does not say whether it holds variances, standard deviations or their "
        f"logarithms{hint}; add {ASK_SCALE}"
    )


def _given(contents: Contents, argument: str, key: str | None) -> str | None:
    """Return the key that an argument names, whole or by its last part."""
    found = None if key is None else contents.find(key)
    if key is not None and found is None:
        raise ValueError(f"{argument}={key!r} is not in the file; it has {contents.listing()}")
    return found


def _refuse_objects(contents: Contents, *keys: str) -> None:
    """Refuse arrays that cannot be read, before their shapes are compared."""
    for key in keys:
        if key and contents.arrays[key].dtype == "object":
            contents.arrays[key].read()


def _check_shapes(contents: Contents, mean: str, key: str, *, chosen: bool) -> None:
    """Refuse a scale that does not fit the mean, or that is not of posteriors."""
    shape = contents.arrays[mean].shape
    if (
        contents.arrays[key].shape != shape
        and repeated(contents.arrays[key].shape, shape, repr(key)) is None
    ):
        raise ValueError(
            f"the scale must have the shape of the mean; {contents.arrays[mean]}, "
            f"{contents.arrays[key]}"
        )
    if chosen and contents.arrays[key].shape != shape:
        _refuse_of_data_set(contents, mean, key)


def _refuse_weights(contents: Contents, mean_key: str | None, *, asked_twice: bool) -> None:
    """Refuse the weights of a network, unless arguments name an array of them and its scale.

    Posteriors can be the weights of a network: those of an embedding with one row per input.
    """
    weights = [key for key in contents.arrays if _WEIGHT.fullmatch(key)]
    if mean_key is None:
        refused = 2 * len(weights) > len(contents.arrays)
    else:
        refused = mean_key in weights and not asked_twice
    if len(weights) < 2 or not refused:
        return
    named = keys_of(contents, "mean")
    more = f"; if {named[0]!r} contains encodings, add mean_key={named[0]!r}" if named else ""
    raise ValueError(
        f"these are the weights of a network ({len(weights)} arrays such as {weights[0]!r}), not "
        f"encodings; {ENCODE}{more}"
    )


def _refuse_of_data_set(contents: Contents, mean: str, key: str) -> None:
    """Refuse a shorter scale that has a mean of its own shape beside it: both are of the data."""
    size = contents.arrays[key].shape
    own = [
        k for k in keys_of(contents, "mean", "ambiguous mean") if contents.arrays[k].shape == size
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


def _is_shorter(scale: Stored, mean: Stored) -> bool:
    """Whether a scale would have to be repeated: under a vague name it is one of the data set."""
    try:
        return scale.shape != mean.shape and repeated(scale.shape, mean.shape, "") is not None
    except ValueError:
        return True


def choose_packed(
    contents: Contents, key: str | None, packed: str, layout: str | None = None
) -> tuple[Contents, Choice]:
    """Split an array that holds the means and a scale one after the other along the latents' axis.

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
    key = _given(contents, "mean_key", key)
    found = [key] if key is not None else []
    for some in (
        keys_of(contents, "ambiguous packed"),
        keys_of(contents, "mean"),
        tables_of(contents),
    ):
        found = found or some
    if len(found) > 1:
        raise AmbiguousEncodings(
            f"{' and '.join(map(repr, found))} could each be the packed array; "
            f"add mean_key={one_of(found)}"
        )
    if not found or found[0] not in contents.arrays:
        raise ValueError(f"there is no packed array {key or ''!r}; it has {contents.listing()}")
    parts = dict(
        zip((first, second), halves(contents.arrays[found[0]], last=layout == "last"), strict=True)
    )
    mean = parts.pop("mean")
    ((scale, widths),) = parts.items()
    arrays = {**contents.arrays, mean.name: mean, widths.name: widths}
    return replace(contents, arrays=arrays), Choice(mean.name, widths.name, scale, "flag")


def _scale(contents: Contents, mean: str, scale: str | None) -> str:
    arrays = contents.arrays
    clear = [key for key in near(mean, keys_of(contents, *SCALES)) if key != mean]
    clear = clear or near(mean, keys_of(contents, *SCALES, numbers=True))
    vague = [
        key
        for key in near(mean, keys_of(contents, "ambiguous scale"))
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
    """Say that there is no scale, and where there may be one."""
    if is_embedding(mean):
        note = (
            f"{mean!r} contains means only; in scvi-tools qzm, qzv = model."
            "get_latent_representation(return_dist=True) gives the variances too, for "
            "adata.obsm['X_latent_qzm'] and adata.obsm['X_latent_qzv']"
        )
        return (note,)
    shape = contents.arrays[mean].shape
    alike = [
        key
        for key, array in contents.arrays.items()
        if array.shape == shape and key != mean and may_be_scale(key)
    ]
    if not alike:
        note = "the file holds no scale: means only"
        even = len(shape) > 1 and shape[1] % 2 == 0
        more = "; if the second half of axis 1 is a scale, add packed='mean,logvar' or 'mean,std'"
        return (note + more * even,)
    note = f"no key names a scale: means only; if it is one of {', '.join(map(repr, alike[:8]))}"
    return (f"{note}, add scale_key={alike[0]!r} {ASK_SCALE}",)


def _hint(mean: Stored, scale: Stored) -> str:
    """Say which convention would put the aggregated variance of the first rows nearest to 1."""
    rows = max(1, 2**20 // max(1, int(np.prod(mean.shape[1:]))))
    try:
        z, values = next(mean.blocks(rows)), next(scale.blocks(rows))
    except (ValueError, OSError, StopIteration):
        return ""
    totals = {}
    for name in [each for each in SCALES if "log" in each or "log" not in scale.name.lower()]:
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
