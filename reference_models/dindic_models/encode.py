"""Any model and its inputs into an encodings file, or into arrays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.batches import Batches, Progress, Rows
from dindic_models.data import Images
from dindic_models.encoder import Encoder, as_encoder, evaluating
from dindic_models.feed import Batch, batch_of
from dindic_models.posterior import Posterior
from disentangle_indicators._errors import lacks_memory
from disentangle_indicators.encodings import append_encodings

__all__ = ["encode", "posterior_width", "posteriors"]

Floats = NDArray[np.floating[Any]]

AGREEMENT = 1e-4

DISTORTION = "squared error of the decoded sample of a posterior, summed over an image in [0, 1]"


def encode(
    path: str | Path,
    encoder: Any,
    loader: Iterable[Any],
    *,
    returns: str | None = None,
    factor_names: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the posteriors of everything that a loader yields to an encodings file.

    Batches are encoded and written one by one; the file appears when it is whole. The model is in
    evaluation mode meanwhile. The first batch is encoded a second time, in two halves, and has to
    agree: a sample in place of a mean does not. Of a model that states a likelihood, samples of the
    posteriors are decoded too, and the metadata have the `distortion`, the squared error of an input.

    Parameters
    ----------
    path : path
        Ends with .npz, .safetensors or another format that is written.
    encoder : Encoder, VAE, nn.Module or callable
        As :func:`~dindic_models.encoder.as_encoder` takes it.
    loader : iterable
        Yields x, (x, y), or dicts, as :func:`~dindic_models.feed.batch_of` takes them; y becomes
        the labels or the factors of the rows. x is given to the encoder as it is, on its device. A
        :class:`~dindic_models.feed.Feed` of a data set brings names and metadata too.
    returns : str, optional
        What the values of a tuple are that the encoder returns, such as "mean,logvar".
    factor_names : sequence of str, optional
    metadata : dict of str, optional
        Stored in the file.
    device : torch.device or str, optional
        Where the model is, by default.
    progress : callable, optional

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If no posterior is recognised in what the encoder returns, results are not finite, there is
        no row, or two encodings of the same inputs differ, as they do when a network drops units,
        normalises by batch, or returns a sample.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from torch import nn
    >>> from disentangle_indicators import read_encodings
    >>> class Net(nn.Module):
    ...     def forward(self, x):
    ...         return {"mean": x[:, :2], "logvar": -1 - x[:, 2:]}
    >>> loader = [(torch.ones(3, 4), torch.tensor([0, 1, 1])), (torch.zeros(1, 4), torch.tensor([0]))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = read_encodings(encode(pathlib.Path(folder, "x.npz"), Net(), loader))
    ...     found.mean[:, 0], found.labels
    (array([1., 1., 1., 0.], dtype=float32), array([0, 1, 1, 0]))
    """
    encoder = as_encoder(encoder, **({} if returns is None else {"returns": returns}))
    if device is not None:
        encoder.to(torch.device(device))
    batches: Iterable[Any] = loader
    if progress is not None:
        total = len(loader) if isinstance(loader, Sized) else 0
        batches = progress(loader, "encoding", total)
    names = factor_names or getattr(loader, "factor_names", None) or None
    said = {**getattr(loader, "metadata", {}), **(metadata or {})}
    decodes = encoder.noise is not None and encoder.decoder is not None
    distortion, rng = 0.0, torch.Generator().manual_seed(0)
    with append_encodings(path, factor_names=names, metadata=said) as file, evaluating(encoder):
        for given in batches:
            batch = batch_of(given)
            mean, logvar = _encoded(encoder, batch, file.n)
            if len(mean) == 0:
                continue
            if file.n == 0:
                _check_agreement(encoder, batch.x, (mean, logvar))
            beside = {name: v for name, v in batch.beside.items() if name != "rows"}
            file.add(mean, logvar=logvar, **beside)
            if decodes:
                distortion += squared_error(encoder, batch.x, mean, logvar, rng)
        if file.n == 0:
            raise ValueError("there are no images to encode")
        if decodes:
            average = f"{distortion / file.n:.6g}"
            file.metadata |= {"distortion": average, "distortion_is": DISTORTION}
    return Path(path)


def squared_error(
    encoder: Encoder, x: Tensor, mean: Floats, logvar: Floats, rng: torch.Generator
) -> float:
    r"""Return the squared error of a batch, at one sample of each posterior.

    .. math:: \sum_m |x_m - G(\mu_m + \sigma_m \epsilon_m)|^2

    Parameters
    ----------
    encoder : Encoder
        With a decoder; images are taken in [0, 1].
    x : Tensor, shape (b, C, H, W)
        In the units that the encoder takes.
    mean, logvar : array, shape (b, d)
    rng : torch.Generator
        On the host.
    """
    spread = torch.exp(0.5 * torch.from_numpy(logvar))
    z = torch.from_numpy(mean) + spread * torch.randn(spread.shape, generator=rng)
    decoded = encoder.decode(z.to(encoder.device, encoder.dtype))
    residual = encoder.unit(_on_device(encoder, x)) - encoder.unit(decoded)
    return float(residual.double().square().sum())


def posteriors(
    model: Any,
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
    model : Encoder, VAE, nn.Module or callable
    images : Images, shape (n, C, H, W)
    rows : array of int, shape (r,)
    batch : int
    device : torch.device, optional
        Where the model is, by default.
    progress : callable, optional

    Yields
    ------
    mean, logvar : arrays, each of shape (b, d) or (b, C, ...)

    Raises
    ------
    ValueError
        If the images have another shape than the model takes, or a result is not finite.
    """
    encoder = as_encoder(model)
    if device is not None:
        encoder.to(device)
    check_shape(encoder, tuple(images.shape[1:]))
    batches = Batches(images, rows, encoder.device, encoder.dtype)
    positions = np.split(np.arange(len(rows)), range(batch, len(rows), batch))
    shown = batches.each(positions)
    steps = shown if progress is None else progress(shown, "encoding", len(positions))
    for chosen, x in zip(positions, steps, strict=True):
        with evaluating(encoder):
            yield _encoded(encoder, Batch(encoder.scaled(x), {"rows": rows[chosen]}), 0)


def posterior_width(
    model: Any, images: Images, row: Rows, device: torch.device | None = None
) -> int:
    """Return d, the number of latents, by encoding one image."""
    return int(next(posteriors(model, images, row, device=device))[0].shape[1])


def check_shape(encoder: Encoder, shape: tuple[int, ...]) -> None:
    """Refuse images of another shape than the model takes."""
    wanted = encoder.shape
    if wanted is None:
        return
    fits = len(wanted) == len(shape)
    if not fits or any(w not in (None, s) for w, s in zip(wanted, shape, strict=True)):
        raise ValueError(f"the model takes images of {_by(wanted)}; these are {_by(shape)}")


def _encoded(encoder: Encoder, batch: Batch, first: int) -> tuple[Floats, Floats]:
    """Return the posteriors of a batch as arrays, all of them finite."""
    x = _on_device(encoder, batch.x)
    if isinstance(x, Tensor):
        check_shape(encoder, tuple(x.shape[1:]))
    found = _outcome(encoder, x)
    rows = batch.beside.get("rows")
    arrays = []
    for name, values in (("mean", found.mean), ("logvar", found.logvar)):
        wide = values.float() if values.element_size() < 4 else values
        array = wide.detach().cpu().numpy()
        finite = np.isfinite(array).all(tuple(range(1, array.ndim)))
        if not finite.all():
            bad = int(np.argmin(finite))
            which = f"row {first + bad}" if rows is None else f"image {rows[bad]}"
            raise ValueError(f"the encoder returns a {name} that is not finite for {which}")
        arrays.append(array)
    return arrays[0], arrays[1]


def _outcome(encoder: Encoder, x: Any) -> Posterior:
    """Return the posteriors; what a foreign network cannot take is a ValueError."""
    try:
        return encoder.encode(x)
    except RuntimeError as error:
        if lacks_memory(error):
            raise
        shape = f" of {_by(tuple(x.shape[1:]))}" if isinstance(x, Tensor) else ""
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ValueError(f"the model does not take inputs{shape}: {first}") from error


def _on_device(encoder: Encoder, x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    return x.to(encoder.device, encoder.dtype if x.is_floating_point() else None)


def _check_agreement(encoder: Encoder, x: Any, first: tuple[Floats, Floats]) -> None:
    """Encode a batch once more, in two halves, and compare."""
    whole = [x] if not isinstance(x, Tensor) else list(torch.split(x, -(-len(x) // 2)))
    parts = [_encoded(encoder, Batch(part, {}), 0) for part in whole]
    for name, a, again in zip(
        ("means", "log variances"), first, zip(*parts, strict=True), strict=True
    ):
        b = np.concatenate(again)
        worst = float(np.abs(a - b).max(initial=0))
        if worst > AGREEMENT * max(1.0, float(np.abs(a).max(initial=0))):
            raise ValueError(
                f"the same images encoded twice differ by {worst:.2g} in their {name}: the "
                "encoder is random, depends on the batch, or returns a sample as its mean, so its "
                "encodings mean nothing"
            )


def _by(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)
