"""Images in, posterior means and log variances out: as arrays, or as an encodings file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dindic_models.batches import Batches, Progress, Rows
from dindic_models.data import Data, Images
from dindic_models.vae import VAE
from disentangle_indicators.encodings import stream_encodings

__all__ = ["encode", "posterior_width", "posteriors"]

Floats = NDArray[np.floating[Any]]

AGREEMENT = 1e-4


def posteriors(
    model: VAE,
    images: Images,
    rows: Rows,
    *,
    batch: int = 1000,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield means and log variances of q(z | x), batch by batch.

    Parameters
    ----------
    model : VAE
        Put into evaluation mode, and on `device`.
    images : Images, shape (n, C, H, W)
    rows : array of int, shape (r,)
    batch : int
    device : torch.device, optional
        Where the model is, by default.
    progress : callable, optional

    Yields
    ------
    mean, logvar : arrays, each of shape (b, d)

    Raises
    ------
    ValueError
        If the images have another shape than the model takes, or a result is not finite.
    """
    shape = tuple(images.shape[1:])
    if shape != tuple(model.shape):
        raise ValueError(f"the model takes images of {_by(model.shape)}; these are {_by(shape)}")
    parameter = next(model.parameters())
    model = model.to(device or parameter.device).eval()
    batches = Batches(images, rows, device or parameter.device, parameter.dtype)
    positions = np.split(np.arange(len(rows)), range(batch, len(rows), batch))
    shown = batches.each(positions)
    steps = shown if progress is None else progress(shown, "encoding", len(positions))
    first = 0
    for x in steps:
        with torch.inference_mode():
            mean, logvar = (values.cpu().numpy() for values in model.encode(x))
        for name, values in (("mean", mean), ("logvar", logvar)):
            if not np.isfinite(values).all():
                bad = rows[first + int(np.argmin(np.isfinite(values).all(1)))]
                raise ValueError(
                    f"the encoder returns a {name} that is not finite for image {bad}"
                )
        first += len(mean)
        yield mean, logvar


def encode(
    path: str | Path,
    model: VAE,
    data: Data,
    rows: Rows,
    *,
    metadata: Mapping[str, str] | None = None,
    batch: int = 1000,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the posteriors of some images to an encodings file, with their factors and labels.

    The images are read and the posteriors written batch by batch; the file appears when it is
    whole. The first batch is encoded a second time, in two halves, and has to agree.

    Parameters
    ----------
    path : path
        Ends with .npz or .safetensors.
    model : VAE
    data : Data
    rows : array of int, shape (r,)
        Which images.
    metadata : dict of str, optional
        Stored beside name and fingerprint of the data.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If image shapes do not fit, results are not finite, or two encodings of the same images
        differ, as they do when a network drops units or normalises by batch.
    """
    if not len(rows):
        raise ValueError("there are no images to encode")
    said = {"data": data.name, "data_fingerprint": data.fingerprint, **(metadata or {})}
    d = posterior_width(model, data.images, rows[:1], device)
    dtype = np.float64 if next(model.parameters()).dtype == torch.float64 else np.float32
    with stream_encodings(
        path,
        (len(rows), d),
        dtype,
        factors=None if data.factors is None else data.factors[rows],
        factor_names=data.factor_names or None,
        labels=None if data.labels is None else data.labels[rows],
        metadata=said,
    ) as (mean, logvar):
        start = 0
        for some_mean, some_logvar in posteriors(
            model, data.images, rows, batch=batch, device=device, progress=progress
        ):
            stop = start + len(some_mean)
            mean[start:stop], logvar[start:stop] = some_mean, some_logvar
            start = stop
        head = rows[:batch]
        halves = posteriors(model, data.images, head, batch=-(-len(head) // 2), device=device)
        again = [np.concatenate(parts) for parts in zip(*halves, strict=True)]
        _check_agreement((mean[:batch], logvar[:batch]), (again[0], again[1]))
    return Path(path)


def posterior_width(
    model: VAE, images: Images, row: Rows, device: torch.device | None = None
) -> int:
    """Return d, the number of latents, by encoding one image."""
    return int(next(posteriors(model, images, row, device=device))[0].shape[1])


def _check_agreement(one: tuple[Floats, Floats], two: tuple[Floats, Floats]) -> None:
    for name, a, b in zip(("means", "log variances"), one, two, strict=True):
        worst = float(np.abs(a - b).max(initial=0))
        if worst > AGREEMENT * max(1.0, float(np.abs(a).max(initial=0))):
            raise ValueError(
                f"the same images encoded twice differ by {worst:.2g} in their {name}: the "
                "encoder is random or depends on the batch, so its encodings mean nothing"
            )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
