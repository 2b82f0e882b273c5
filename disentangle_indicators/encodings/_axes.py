"""Which axis of the means is what: the layout that is given or known, and shapes that are refused."""

from math import prod

from disentangle_indicators.encodings._layout import LAYOUTS, OF_SITES
from disentangle_indicators.encodings._stored import (
    IMAGES,
    AmbiguousEncodings,
    Contents,
    Stored,
    one_of,
)
from disentangle_indicators.encodings.keys import Choice

__all__ = ["axes_of"]

PACKED = "packed='mean,logvar' or 'mean,std'"


def axes_of(
    contents: Contents, choice: Choice, layout: str | None, *, asked: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the layout of the means, "" for a table (n, d), and what is to be noted.

    Parameters
    ----------
    contents : Contents
    choice : Choice
    layout : str or None
        What was given.
    asked : bool
        Whether the caller named the mean, or said how it is packed.

    Raises
    ------
    AmbiguousEncodings
        When the axes have several readings.
    ValueError
        When the array has no axis of rows, or is one of the whole data set.
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}; got {layout!r}")
    mean = contents.arrays[choice.mean_key]
    axes = len(mean.shape)
    _check_samples(contents, mean, layout)
    if not (asked or choice.scale_key):
        _refuse_stacked(mean, layout)
    if axes == 2:
        return layout if layout == "transposed" else "", ()
    if layout is None and choice.layout and axes == 3:
        note = (
            f"{choice.schema} has the latents of {choice.mean_key!r} on the last axis: every step "
        )
        return choice.layout, (f"{note}of a trial is a row, and every trial a cluster",)
    if layout not in (*OF_SITES, "flatten"):
        raise AmbiguousEncodings(
            f"the mean {mean} has more than two axes: are its sites rows, with the latents on axis "
            "1 (channels) or on the last axis (last), or is every entry a latent (flatten)?; add "
            f"layout={one_of((*OF_SITES, 'flatten'))}"
        )
    return layout, ()


def _check_samples(contents: Contents, mean: Stored, layout: str | None) -> None:
    """Refuse an array without an axis of rows, as one image of fewer channels than pixels a row."""
    shape = mean.shape
    if len(shape) > 2 and mean.dtype == "uint8":
        raise ValueError(f"{mean} looks like images, not encodings; {IMAGES}")
    if len(shape) < 2:
        raise ValueError(f"the mean must have the shape (n, d); it is {mean}")
    if len(shape) > 2 and prod(shape) == max(shape):
        raise ValueError(
            f"{mean} is one number for each channel, as the mean of a data set, and no posterior; "
            "score the latents themselves"
        )
    image = len(shape) == 3 and shape[0] < shape[1] == shape[2]
    if contents.one_row or (image and layout == "channels"):
        raise ValueError(
            f"{mean} looks like one image (channels, height, width), without an axis of rows; "
            "stack the images, as np.stack(images) does, or give the folder of their files; for "
            "rows of a series (n, channels, steps) add an axis, mean[..., None]"
        )


def _refuse_stacked(mean: Stored, layout: str | None) -> None:
    """Ask about an array without a scale that may hold the means and a scale."""
    shape = mean.shape
    two = len(shape) == 3 and shape[0] == 2
    axis = len(shape) - 1 if layout == "last" else 1
    if two or (len(shape) > 2 and layout in OF_SITES and shape[axis] % 2 == 0):
        where = "two tables" if two else f"{shape[axis]} entries on axis {axis}"
        raise AmbiguousEncodings(
            f"the mean {mean} has {where} and no scale: if it is the mean and the scale stacked, add "
            f"{PACKED}; if it is means alone, add mean_key={mean.name!r}"
        )
