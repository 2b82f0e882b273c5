"""What a run says of itself after every epoch: the bound, the noise and the indicators, as rows."""

import csv
import io
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dindic_models.batches import Batches
from dindic_models.config import Config, seed_of
from dindic_models.noise import FixedGaussian, LearnedGaussian, MixtureOfGaussians
from dindic_models.objective import draw, evlb_at, kl_prior
from dindic_models.vae import VAE
from disentangle_indicators import Moments, indicators
from disentangle_indicators._files import atomic
from disentangle_indicators.registry import INDICATORS

__all__ = ["HISTORY", "Row", "epoch_line", "evaluate", "noise_row", "read_csv", "write_csv"]

Row = dict[str, float]

HISTORY = "history.csv"
"""The file, in the folder of a run, that has a row for every epoch."""

COMPARED = tuple(name for name, indicator in INDICATORS.items() if indicator.compared)
"""Indicators of all latents together that a row has."""


def evaluate(model: VAE, batches: Batches, config: Config, *, batch: int = 500) -> Row:
    """Return the bound and the indicators of a model on some images.

    One code is drawn for each image, the same in every epoch and for every model of that seed.

    Returns
    -------
    dict
        In nats an image unless said otherwise: ``evlb`` with the model's own noise;
        ``evlb_at_normalised_variance`` with Gaussian noise of variance beta sigma^2 (the other
        convention of Figure 4; nan where the noise is not Gaussian with one variance);
        ``log_likelihood``; ``squared_error`` per pixel; the indicators of ``COMPARED`` by
        name; ``used``, the count of used latents. Nothing where there are no images.

    Raises
    ------
    FloatingPointError
        If a posterior is not finite, as after training diverged.
    """
    moments: Moments | None = None
    totals = np.zeros(5)
    positions = np.split(np.arange(len(batches)), range(batch, len(batches), batch))
    positions = [chosen for chosen in positions if len(chosen)]
    pixels, parameter = int(np.prod(model.shape)), next(model.parameters())
    sigma2 = float(model.noise.variance().detach()) * config.beta
    seed = seed_of(config.seed, "evaluation")
    noise = draw(seed, (1, len(batches), config.latents), parameter)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for chosen, x in zip(positions, batches.each(positions), strict=True):
            mean, logvar = model.encode(x)
            g = model.decode(mean + (0.5 * logvar).exp() * noise[0, chosen])
            kl = kl_prior(mean, logvar).sum(1)
            log_likelihood = model.noise.log_prob(x, g)
            squared = (x - model.noise.mean(g)).square().flatten(1).sum(1)
            other = evlb_at(squared, kl, pixels, sigma2) if sigma2 > 0 else kl * nan
            sums = [v.double().sum() for v in (log_likelihood, kl, squared, other)]
            totals += np.array([float(v) for v in sums] + [len(x)])
            arrays = [v.double().cpu().numpy() for v in (mean, logvar.exp())]
            if not all(np.isfinite(values).all() for values in arrays):
                raise FloatingPointError("a posterior is not finite")
            part = Moments.of(*arrays, covariance=True)
            moments = part if moments is None else moments + part
    model.train(was_training)
    if moments is None:
        return {}
    log_likelihood, kl, squared, other = totals[:4] / totals[4]
    one_variance = isinstance(model.noise, (FixedGaussian, LearnedGaussian))
    found = indicators(moments=moments)
    return {
        "evlb": log_likelihood - kl,
        "evlb_at_normalised_variance": other if one_variance else nan,
        "log_likelihood": log_likelihood,
        "squared_error": squared / pixels,
        **{name: float(found.values[name] or 0.0) for name in COMPARED},
        "used": float(found.used),
    }


def noise_row(model: VAE, config: Config) -> Row:
    """Return what the noise is now: ``sigma2``, ``normalised_variance`` = beta sigma^2, and so on.

    For a mixture ``sigma2`` is its variance, for network noise the average over recent pixels.
    """
    sigma2 = float(model.noise.variance().detach())
    row = {"sigma2": sigma2, "normalised_variance": config.beta * sigma2}
    if isinstance(model.noise, MixtureOfGaussians):
        row["effective_components"] = model.noise.effective_components()
    return row


def epoch_line(rows: Sequence[Row], epochs: int) -> str:
    """Say what an epoch came to: of a model, or the range of several."""
    words = [f"epoch {rows[0]['epoch']:.0f}/{epochs}"]
    words += [f"{len(rows)} models"] * (len(rows) > 1)
    words += [
        f"EVLB {_range(rows, 'train_evlb', '.1f')}",
        f"KL {_range(rows, 'train_kl', '.2f')} nats",
        f"sigma^2 {_range(rows, 'sigma2', '.3g')}",
    ]
    if "used" in rows[0]:
        words += [
            f"held out: EVLB {_range(rows, 'evlb', '.1f')}",
            f"{_range(rows, 'used', '.0f')} latents used",
        ]
    return "  ".join([*words, f"{sum(row['seconds'] for row in rows):.1f} s"])


def _range(rows: Sequence[Row], name: str, form: str) -> str:
    values = [row[name] for row in rows]
    ends = [format(end, form) for end in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as CSV, atomically."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic(path) as temporary:
        temporary.write_text(text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each a dict by the names of the columns."""
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))
