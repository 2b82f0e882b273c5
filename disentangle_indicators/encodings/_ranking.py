"""Which key of a file is the mean: candidates by name, and pairs of a mean and its scale ranked."""

import numpy as np

from disentangle_indicators._scales import SCALES
from disentangle_indicators.encodings._stored import (
    IMAGES,
    AmbiguousEncodings,
    Contents,
    Stored,
    one_of,
)
from disentangle_indicators.encodings.names import (
    ALIASES,
    OWN,
    SCHEMAS,
    Schema,
    folder,
    is_images,
    role,
    split,
)

__all__ = ["ASK_SCALE", "find_mean", "keys_of", "near", "partner_of", "tables_of"]

ASK_SCALE = f"scale={one_of(SCALES)}"

_ROWS = 1 << 14


def keys_of(contents: Contents, *roles: str, numbers: bool = False) -> list[str]:
    """Return the keys of arrays with one of these roles, or of single numbers; never of text."""
    return [
        key
        for key, array in contents.arrays.items()
        if bool(array.shape) != numbers
        and not array.dtype.startswith(("str", "bytes"))
        and role(key) in roles
    ]


def tables_of(contents: Contents) -> list[str]:
    """Return the keys of arrays with two axes or more."""
    return [key for key, array in contents.arrays.items() if len(array.shape) > 1]


def near(mean: str, keys: list[str]) -> list[str]:
    """Return the keys in the folder of the mean, and of its part of the data; else all of them."""
    for same in (folder, split):
        keys = [key for key in keys if same(key) == same(mean)] or keys
    return keys


def partner_of(contents: Contents, mean: str) -> tuple[str, Schema | None]:
    """Return the key that one library writes beside this mean, and its schema; "" for none."""
    lower = {key.lower(): key for key in contents.arrays}
    for (mean_name, scale_name), schema in SCHEMAS.items():
        prefix = mean.lower().removesuffix(mean_name)
        if prefix == mean.lower() or (prefix and prefix[-1] not in "_./"):
            continue
        if prefix + scale_name in lower:
            return lower[prefix + scale_name], schema
    return "", None


def find_mean(contents: Contents) -> tuple[str, tuple[str, ...]]:
    """Return the key that names a mean, and notes on what was left out.

    Of several keys the one with a scale in its own folder is taken; of several such pairs, those
    with the same numbers are one, and of a library's own keys the one that it wrote itself.

    Raises
    ------
    AmbiguousEncodings
        When several could be the mean, or no key names one.
    """
    found = keys_of(contents, "mean")
    found = [key for key in found if len(contents.arrays[key].shape) > 1] or found
    if not found:
        raise _without_mean(contents)
    if len(found) == 1:
        return found[0], ()
    pairs = _pairs(contents, found)
    if len(pairs) == 1:
        (mean,) = pairs
        others = ", ".join(repr(key) for key in found if key != mean)
        return mean, (f"{mean!r} has a scale and is taken; {others} has none",)
    own = [mean for mean in pairs if mean.rpartition("/")[2].lower() in OWN]
    if len(own) == 1 and len({folder(mean) for mean in pairs}) == 1:
        return own[0], (_compared(contents, pairs, own[0]),)
    raise AmbiguousEncodings(
        f"{' and '.join(map(repr, found))} could each be the mean; add mean_key={one_of(found)}"
    )


def _pairs(contents: Contents, means: list[str]) -> dict[str, str]:
    """Return the means that have a scale, with it: the schema's, else one in their own folder."""
    partners = {mean: partner_of(contents, mean)[0] for mean in means}
    scales = [key for key in keys_of(contents, *SCALES) if key not in partners.values()]
    for mean, partner in partners.items():
        here = [key for key in scales if folder(key) == folder(mean) and split(key) == split(mean)]
        partners[mean] = partner or next(iter(here), "")
    return {mean: partner for mean, partner in partners.items() if partner}


def _compared(contents: Contents, pairs: dict[str, str], own: str) -> str:
    """Return a note on whether the pairs beside the library's own have the same numbers."""
    others = [mean for mean in pairs if mean != own]
    names = ", ".join(map(repr, others))
    arrays = contents.arrays
    same = all(
        _equal(arrays[own], arrays[mean]) and _equal(arrays[pairs[own]], arrays[pairs[mean]])
        for mean in others
    )
    if same:
        return f"{names} has the same numbers as {own!r}, the library's own key, which is taken"
    return (
        f"{own!r}, the library's own key, is taken; {names} has other numbers: for these add "
        f"mean_key={one_of(others)}"
    )


def _equal(one: Stored, two: Stored) -> bool:
    if one.shape != two.shape:
        return False
    blocks = zip(one.blocks(_ROWS), two.blocks(_ROWS), strict=True)
    return all(np.array_equal(a, b) for a, b in blocks)


def _without_mean(contents: Contents) -> ValueError:
    """Return what to say when no key names a mean."""
    if not contents.arrays:
        return ValueError("the file holds no array")
    if packed := keys_of(contents, "ambiguous packed"):
        return AmbiguousEncodings(
            f"{contents.arrays[packed[0]]} holds the mean and the scale one after the other on axis "
            "1; add packed='mean,logvar' or 'mean,std'"
        )
    if vague := keys_of(contents, "ambiguous mean"):
        return AmbiguousEncodings(
            f"{vague[0]!r} often is one vector for the whole data set; if it holds the posterior "
            f"mean of every row, add mean_key={vague[0]!r}"
        )
    for pair in (("0", "1"), ("arr_0", "arr_1")):
        if tuple(contents.arrays) == pair:
            return AmbiguousEncodings(
                f"two arrays without names could be anything; if the mean comes first, add "
                f"mean_key={pair[0]!r} scale_key={pair[1]!r} {ASK_SCALE}"
            )
    for array in contents.arrays.values():
        if array.dtype == "object" and len(contents.arrays) == 1:
            array.read()  # which says why it cannot be read
    for key in tables_of(contents):
        array = contents.arrays[key]
        if len(array.shape) > 2 and (array.dtype == "uint8" or is_images(key)):
            return ValueError(f"{array} looks like images, not encodings; {IMAGES}")
    tables = tables_of(contents)
    tables = [key for key in tables if "float" in contents.arrays[key].dtype] or tables
    return AmbiguousEncodings(
        f"no key names a mean ({', '.join(ALIASES['mean'])}); the file has {contents.listing()}; "
        f"add mean_key={tables[0] if len(tables) == 1 else 'KEY'!r}"
    )
