"""The trained models that come with the package, by name, and what is known of how they were made.

Each is a folder of ``weights/`` with config.json, model.safetensors (in half precision) and
provenance.json.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from dindic_models._study_result import in_epochs
from dindic_models.checkpoint import (
    BUNDLED,
    CONFIG,
    MODEL,
    PROVENANCE,
    bundled_names,
    file_hash,
    load,
    read_tensors,
    save_config,
    write_tensors,
)
from dindic_models.config import Config, starting_values
from dindic_models.data import Data
from dindic_models.measure import IMAGES, about_run, measure
from dindic_models.networks import Shape
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._files import named, temporary_of
from disentangle_indicators._result import Result

__all__ = [
    "Bundled",
    "bundle",
    "listing",
    "noise_of",
    "provenance",
    "sentence",
    "training_command",
]

TOLERANCE = 0.01
"""By how much half precision may change an indicator, relatively."""

COUNTED = ("used", "used_exact", "images")
"""Columns that may not change at all."""


def provenance(name: str) -> dict[str, Any]:
    """Return how a bundled model was made: data, settings, devices, epochs, indicators.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> provenance("beta10")["settings"]["beta"]
    10.0
    """
    if name not in bundled_names():
        raise ValueError(
            f"no bundled model is called {name!r}; there is {', '.join(bundled_names())}"
        )
    content: dict[str, Any] = json.loads((BUNDLED / name / PROVENANCE).read_text())
    return content


def sentence(name: str) -> str:
    """Say which bundled model it is, and how long it was trained on what."""
    about = provenance(name)
    return (
        f"{name} is a bundled model of {about['data']['name']}, noise {noise_of(about['settings'])}: "
        f"trained for {in_epochs([about['epochs']])} on {about['device']}"
    )


def bundle(
    run: str | Path,
    name: str,
    data: Data,
    *,
    made_with: str,
    images: int = IMAGES,
    folder: Path = BUNDLED,
) -> Path:
    """Put a trained model beside the package's, its weights in half precision.

    Parameters
    ----------
    run : path
        A folder that training wrote.
    name : str
    data : Data
        That it was trained on.
    made_with : str
        The command.
    images : int
        Test images that the indicators are computed on.
    folder : path

    Returns
    -------
    path
        Of the new folder.

    Raises
    ------
    ValueError
        If half precision changes an indicator by more than 1%, or the number of used latents, or if
        the place is taken by something that is no bundle; then nothing is written.
    """
    whole = load(run)
    if whole.data.get("fingerprint") != data.fingerprint:
        raise ValueError(f"{run} was not trained on these data")
    shape = (whole.model.shape[0], whole.model.shape[1], whole.model.shape[2])
    about = {key: whole.data[key] for key in ("name", "fingerprint", "n")}
    target = folder / name
    _make_way(target)
    scratch = temporary_of(target)
    with named(target, scratch), ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        small = scratch / name
        small.mkdir(parents=True)
        weights = {key: _half(key, t) for key, t in read_tensors(whole.path / MODEL)[0].items()}
        write_tensors(small / MODEL, weights, {"step": str(whole.step)})
        save_config(small, whole.config, shape, about, whole.devices)
        encodings = scratch / "encodings.safetensors"
        before, after = (
            measure(each, data, encodings, images=images).row for each in (whole, load(small))
        )
        changes = {
            key: abs(after[key] - value) / abs(value)
            for key, value in before.items()
            if isinstance(value, float) and value and np.isfinite(value)
        }
        worst = max(changes, key=lambda key: changes[key])
        counts = [key for key in COUNTED if after[key] != before[key]]
        if changes[worst] > TOLERANCE or counts:
            raise ValueError(
                f"{run}: half precision changes {worst} by {changes[worst]:.2%}"
                + "".join(f", {key} from {before[key]:g} to {after[key]:g}" for key in counts)
            )
        content = {
            "made_with": made_with,
            **about_run(whole.path),
            "steps": whole.step,
            "data": about,
            "settings": whole.config.to_dict(),
            "trained_weights": {"precision": "float32", "sha256": whole.sha256},
            "weights": {"precision": "float16", "sha256": file_hash(small / MODEL)},
            "config": {"sha256": file_hash(small / CONFIG)},
            "indicators": after,
            "changed_by_half_precision": {key: float(f"{v:.2g}") for key, v in changes.items()},
        }
        (small / PROVENANCE).write_text(json.dumps(content, indent=2) + "\n")
        _put(small, target)
    return target


def _aside(target: Path) -> Path:
    return target.with_name(f".dindic-old-{target.name}")


def _make_way(target: Path) -> None:
    """Put back the bundle that a killed process left aside; refuse to replace what is no bundle."""
    for there in (target, _aside(target)):
        if there.exists() and not (there / PROVENANCE).is_file():
            raise ValueError(f"{there} is no bundled model: it has no {PROVENANCE}; name another")
    if not target.exists() and _aside(target).exists():
        _aside(target).rename(target)


def _put(new: Path, target: Path) -> None:
    """Put a folder in the place of another one, which comes back where that fails.

    The old one is outside of what is removed at the end, so that it stays where it cannot come back.
    One that a killed process left aside is the latest where `target` is gone, and useless else.
    """
    aside = _aside(target)
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if aside.exists():
            shutil.move(aside, target)  # which copies where renaming fails again
        raise
    shutil.rmtree(aside, ignore_errors=True)


def training_command(config: Config, shape: Shape) -> str:
    """Return the command that trains a model with these settings.

    Examples
    --------
    >>> training_command(load("beta10").config, (1, 28, 28))
    'dindic train mnist --noise learned --beta 10'
    """
    start = starting_values(config.dataset, shape, config.network)
    started = Config(config.dataset, **start)
    first = ("noise", "sigma2", "beta", "epochs")
    names = [*first, *(f.name for f in fields(Config) if f.name not in (*first, "dataset"))]
    words = [f"dindic train {config.dataset}"]
    for name in names:
        value = getattr(config, name)
        flag = "dimensions" if name == "latents" else name.replace("_", "-")
        if name == "noise" or value != getattr(started, name):
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words.append(
                    f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {value}"
                )
    return " ".join(words)


def _half(name: str, tensor: Tensor) -> Tensor:
    """Return weights of the networks in half precision, and parameters of the noise as they are."""
    return tensor if name.startswith("noise.") else tensor.half()


@dataclass(frozen=True, eq=False, repr=False)
class Bundled(Result):
    """The bundled models, by name: the provenance of each."""

    schema: ClassVar[str] = "dindic.models/1"

    models: Mapping[str, dict[str, Any]]
    full: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the provenance of every model."""
        return self.stamped({"schema": self.schema, "models": dict(self.models)})

    def blocks(self) -> list[Block]:
        """Return a table of all, or one for each."""
        if self.full:
            return [t for name, content in self.models.items() for t in _in_full(name, content)]
        lines = []
        for name, content in self.models.items():
            settings, found = content["settings"], content["indicators"]
            lines.append(
                (
                    name,
                    f"{content['data']['name']} {content['data']['fingerprint'][7:15]}",
                    noise_of(settings),
                    f"{found['used']}/{settings['latents']}",
                    f"{found['mutual_information']:.2f}",
                    str(content["epochs"]),
                    str(content["seed"]),
                    content["device"],
                )
            )
        columns = ("model", "data", "noise", "used", "Def 2", "epochs", "seed", "trained on")
        note = (
            "data: name and fingerprint; used: latents above 0.5 nats by Definition 3; Def 2: nats, of "
            "test images"
        )
        return [Table(columns, tuple(lines), "Bundled models", note)]


def listing(names: tuple[str, ...] = ()) -> Bundled:
    """Return all bundled models, or some in full.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    return Bundled({name: provenance(name) for name in names or bundled_names()}, bool(names))


def noise_of(settings: Mapping[str, Any]) -> str:
    """Return what a model assumes of noise: "fixed, σ²=0.11", or "learned, β=10"."""
    if settings["noise"] == "fixed":
        return f"fixed, σ²={settings['sigma2']:g}"
    return f"{settings['noise']}, β={settings['beta']:g}"


def _in_full(name: str, content: Mapping[str, Any]) -> list[Block]:
    """Return how a model was trained, its settings, and its indicators, as tables."""
    nested = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    origin = [(key, _short(value)) for key, value in content.items() if key not in nested]
    for key, value in nested.items():
        if key == "changed_by_half_precision":
            most = max(map(abs, value.values()), default=0.0)
            origin.append((key, f"at most {most:.2g} of any indicator"))
        elif key not in ("settings", "indicators"):
            origin += [(f"{key}.{inner}", _short(item)) for inner, item in value.items()]
    note = "of test images, in nats but for counts and for the squared pixel units of sigma2, "
    note += "normalised_variance and squared_error"
    return [
        Table((name, "value"), tuple(origin), "Origin"),
        Table((name, "value"), _pairs(nested["settings"]), "Settings"),
        Table((name, "value"), _pairs(nested["indicators"]), "Indicators", note),
    ]


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, _short(value)) for key, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
