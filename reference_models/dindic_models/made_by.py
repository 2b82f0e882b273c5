"""Whether encodings were made by a model: by the hash of the model, or by encoding images again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data import Images
from dindic_models.encode import posterior_width, posteriors
from dindic_models.encoder import Encoder
from dindic_models.traverse import by_site
from disentangle_indicators import Encodings

__all__ = ["check_hash", "check_rows", "check_width"]

AGAIN = 16
"""Images that are encoded again: so many from the start of each part, and as many at random."""

CLOSE = 0.01
"""Greatest distance of a row from one that is encoded again: in standard deviations of the latent,
and in log variances."""


def check_hash(encodings: Encodings, encoder: Encoder) -> bool:
    """Refuse encodings that name another model or are of another width.

    Parameters
    ----------
    encodings : Encodings
    encoder : Encoder

    Returns
    -------
    bool
        Whether the encodings name this model.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> encodings = Encodings.of(np.eye(3), np.ones((3, 3)), name="x.npz")
    >>> check_hash(encodings, Encoder(output=abs, about={"model": "1f"}))
    False
    """
    shape = [size for size in encoder.shape or () if size is not None]
    if shape and len(shape) == len(encoder.shape or ()):
        image = np.zeros((1, *shape), np.uint8)
        check_width(encodings, posterior_width(encoder, image, np.arange(1)))
    of_rows, of_model = encodings.metadata.get("model"), encoder.about.get("model")
    if of_rows and of_model and of_rows != of_model:
        raise ValueError(
            f"{encodings.name} is of another model: its model has the hash {of_rows[:12]}, this "
            f"model {of_model[:12]}"
        )
    return bool(of_rows and of_model)


def check_width(encodings: Encodings, d: int) -> None:
    """Refuse encodings of another number of latents."""
    if encodings.d != d:
        raise ValueError(f"{encodings.name} has {encodings.d} latents; the model has {d}")


def check_rows(
    encodings: Encodings, encoder: Encoder, images: Images, part: NDArray[np.int64]
) -> None:
    """Refuse encodings among which is no row of some images, encoded again.

    Parameters
    ----------
    encodings : Encodings
        With variances.
    encoder : Encoder
    images : Images, shape (n, C, H, W)
        Images of the part and others are encoded.
    part : array of int
        Rows that were most likely encoded.

    Raises
    ------
    ValueError
    """
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    rows = np.concatenate([_some(part, rng), _some(np.arange(len(images)), rng)])
    found = zip(*posteriors(encoder, images, np.unique(rows)), strict=True)
    mean, logvar = (by_site(np.concatenate(each)) for each in found)
    check_width(encodings, mean.shape[1])
    known, var = (np.asarray(x, dtype=np.float64) for x in encodings.arrays("a traversal needs"))
    spread = np.sqrt(np.mean(var, axis=0) + np.var(known, axis=0))
    tree = cKDTree(np.hstack([known / spread, np.log(var)]))
    again = np.hstack([mean / spread, logvar])
    distance, _ = tree.query(again, p=np.inf, distance_upper_bound=CLOSE)
    if not np.any(np.isfinite(distance)):
        raise ValueError(
            f"nothing shows that {encodings.name} is of this model: the file has no hash of a model, "
            f"and none of {len(np.unique(rows))} images, encoded again, is among its rows. Give the "
            "images that were encoded as data=, or encode them with this model"
        )


def _some(rows: Any, rng: np.random.Generator) -> Any:
    """Return the first rows, and some others at random."""
    return np.concatenate([rows[:AGAIN], rng.choice(rows, min(AGAIN, len(rows)), replace=False)])
