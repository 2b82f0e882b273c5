"""The measurement of one trained model on test images, and the file that keeps it.

``measured.json``, beside the model, has the row and the latents of the measurement, with the hashes
of the model and the data: a later call measures again only where one of them differs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dindic_models.batches import Batches
from dindic_models.checkpoint import Checkpoint, load
from dindic_models.data import Data, rows, some
from dindic_models.devices import set_precision
from dindic_models.encode import encode
from dindic_models.feed import Feed
from dindic_models.history import HISTORY, Row, evaluate, read_csv
from disentangle_indicators import indicators, read_encodings
from disentangle_indicators._files import atomic
from disentangle_indicators.registry import INDICATORS
from disentangle_indicators.states import has_normal_variance, used_exact

__all__ = ["IMAGES", "KEPT", "Measured", "about_run", "keep", "kept", "measure"]

Floats = NDArray[np.floating[Any]]

IMAGES = 10_000
"""Test images that the indicators are computed on (appendix D.2)."""

MEASURED = "dindic.measured/1"
"""The layout of measured.json."""

KEPT = "measured.json"


@dataclass(frozen=True)
class Measured:
    """What test images say of a model.

    Attributes
    ----------
    row : dict
        Of results.csv, see :func:`measure`.
    latents : dict of array, each of shape (d,)
        Of latents.csv: Definitions 3 and 7, exact I(x; z_h) and KL(q(z_h) || p), S.
    about : dict
        Hashes of the model and the data, where it was read from a file.
    """

    row: Row
    latents: Mapping[str, Floats]
    about: Mapping[str, Any] = field(default_factory=dict)


def measure(
    checkpoint: Checkpoint,
    data: Data,
    encodings: Path,
    *,
    images: int = IMAGES,
    device: torch.device | None = None,
) -> Measured:
    r"""Encode test images of the model's own split, and compute what the paper reports of a model.

    Parameters
    ----------
    checkpoint : Checkpoint
        With its configuration.
    data : Data
    encodings : path
        Where the posteriors go.
    images : int
        Test images, at random, all if there are no more.
    device : torch.device, optional

    Returns
    -------
    Measured
        The row has, in nats an image unless said otherwise: ``sigma2`` and ``normalised_variance``
        (squared pixel units); ``squared_error`` of a pixel, with codes drawn from q(z | x);
        ``evlb`` at sigma^2 and ``evlb_at_normalised_variance``, the two conventions of Fig. 4;
        Definitions 1, 2, 4, 5 and 6 by name, of Definitions 3 and 7 the largest latent's (all are
        in `latents`); ``gaussian_total_correlation``; exact :math:`\sum_h I(x; z_h)` and
        :math:`\sum_h KL(q(z_h) \| p)`; the counts ``used`` (Definition 3 above half a nat),
        ``used_exact`` (exact information above it), ``normal_variance`` (:math:`|S_h - 1| \le .1`)
        and ``normal_variance_used`` (of the used ones); ``images``.

    Raises
    ------
    ValueError
        If there are no test images, or results are not finite.

    Notes
    -----
    In full single precision, also of models that were trained in less.
    """
    set_precision("float32")
    model, config = checkpoint.model, checkpoint.config
    device = device or torch.device("cpu")
    test = some(
        rows(data, "test", split=config.split, seed=config.split_seed),
        images,
        seed=config.split_seed,
    )
    about = {"model": checkpoint.sha256}
    encode(encodings, model, Feed(data, test), metadata=about, device=device)
    dtype = next(model.parameters()).dtype
    judged = evaluate(model, Batches(data.images, test, device, dtype), config)
    posteriors = read_encodings(encodings)
    found, exact = indicators(posteriors, errors=False), posteriors.marginals
    normal = has_normal_variance(found.second_moment)
    used = np.isin(np.arange(found.d), posteriors.used_or_none(threshold=found.threshold))
    sigma2 = float(model.noise.variance().detach())
    row: Row = {
        "sigma2": sigma2,
        "normalised_variance": config.beta * sigma2,
        "squared_error": float(judged["squared_error"]),
        "evlb": float(judged["evlb"]),
        "evlb_at_normalised_variance": float(judged["evlb_at_normalised_variance"]),
        **{
            name if not indicator.per_latent else f"largest_{name}": float(
                np.max(found.values[name])
            )
            for name, indicator in INDICATORS.items()
            if indicator.definition
        },
        "gaussian_total_correlation": float(judged["gaussian_total_correlation"]),
        "total_information": float(exact.information.sum()),
        "total_kl_prior": float(exact.kl_prior.sum()),
        "used": int(found.used),
        "used_exact": len(used_exact(exact.information, found.threshold)),
        "normal_variance": int(normal.sum()),
        "normal_variance_used": int((normal & used).sum()),
        "images": len(test),
    }
    latents = {
        "second_moment": np.asarray(found.second_moment),
        **{
            name: found.values[name]
            for name, indicator in INDICATORS.items()
            if indicator.per_latent and indicator.definition
        },
        "information": np.asarray(exact.information),
        "kl_prior": np.asarray(exact.kl_prior),
    }
    return Measured(row, latents)


def keep(model: Path, measured: Measured) -> None:
    """Write measured.json into the folder of a model."""
    lists = {key: values.tolist() for key, values in measured.latents.items()}
    content = {"schema": MEASURED, **measured.about, "row": measured.row, "latents": lists}
    with atomic(model / KEPT) as path:
        path.write_text(json.dumps(content))


def kept(model: Path, encodings: Path) -> Measured | None:
    """Return the measurement that the folder of a model keeps.

    None where there is none, where it is damaged, and where its encodings are gone.
    """
    path = model / KEPT
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if content.pop("schema") != MEASURED:
            return None
        row, latents = content.pop("row"), content.pop("latents")
        if content.get("encodings") != 0 and not encodings.is_file():
            return None
        return Measured(row, {key: np.asarray(v) for key, v in latents.items()}, content)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def about_run(model: Path) -> dict[str, Any]:
    """Return what a row says of the training of the model in a folder.

    ``seconds`` are those of its epochs by the clock; of models that were trained together each has
    its share. Looks at held-out images and checkpoints are not counted.
    """
    found = load(model)
    history = read_csv(model / HISTORY)
    return {
        "noise": found.config.noise,
        "sigma2_given": found.config.sigma2 if found.config.noise == "fixed" else "",
        "beta": found.config.beta,
        "latents": found.config.latents,
        "seed": found.config.seed,
        "epochs": int(history[-1]["epoch"]),
        "seconds": round(sum(float(line["seconds"]) for line in history), 1),
        "device": "; ".join(found.devices) or "not recorded",
    }
