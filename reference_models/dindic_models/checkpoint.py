"""Models on disk: a folder of config.json and model.safetensors; loading runs no code.

While training there is a third file, training.safetensors: weights, Adam's averages, the counts
and the history, everything that going on needs, in one file and so in one atomic step. A run that
is killed between two files has an older model.safetensors, never a broken one.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dindic_models.config import Config, make_model, settings
from dindic_models.networks import Shape
from dindic_models.vae import VAE
from disentangle_indicators._files import atomic

__all__ = [
    "BUNDLED",
    "Checkpoint",
    "bundled_names",
    "file_hash",
    "fit",
    "load",
    "place_of",
    "read_config",
    "read_devices",
    "read_tensors",
    "refuse_encodings",
    "save_config",
    "save_model",
    "step_of",
    "write_tensors",
]

FORMAT = "dindic-model/1"
CONFIG, MODEL, TRAINING = "config.json", "model.safetensors", "training.safetensors"
PROVENANCE = "provenance.json"

SETTINGS = "settings"
"""Key of the hash of the settings in the metadata of weights."""

BUNDLED = Path(__file__).parent / "weights"
"""The models that come with the package, a folder each."""


@dataclass(frozen=True)
class Checkpoint:
    """A model read from disk, in evaluation mode, and where it came from.

    Attributes
    ----------
    model : VAE
    config : Config
    data : dict
        Name, fingerprint, number of images and path of the data it was trained on.
    sha256 : str
        Of the file of weights.
    path : Path
    step : int
        Steps that it was trained for, where that is known.
    devices : tuple of str
        What it was trained on, where that is known.
    """

    model: VAE
    config: Config
    data: dict[str, Any]
    sha256: str
    path: Path
    step: int = 0
    devices: tuple[str, ...] = ()


def save_config(
    folder: Path,
    config: Config,
    shape: Shape,
    data: Mapping[str, Any],
    devices: Sequence[str] = (),
) -> None:
    """Write config.json: settings, shape of an image, data set, and what it is trained on.

    The devices of a config.json that is there stay in it.
    """
    both = dict.fromkeys((*read_devices(folder), *devices))
    content = {"format": FORMAT, "shape": list(shape), "data": dict(data), "devices": list(both)}
    with atomic(folder / CONFIG) as path:
        path.write_text(json.dumps(content | {"config": config.to_dict()}, indent=2) + "\n")


def read_devices(folder: Path) -> tuple[str, ...]:
    """Return the devices that config.json says a model was trained on; none if it does not."""
    if not (folder / CONFIG).is_file():
        return ()
    named = json.loads((folder / CONFIG).read_text()).get("devices", [])
    return tuple(map(str, named)) if isinstance(named, list) else ()


def save_model(folder: Path, model: VAE, step: int = 0, config: Config | None = None) -> None:
    """Write model.safetensors, with the steps it was trained for and the hash of its settings."""
    said = {"step": str(step)} | ({} if config is None else {SETTINGS: hash_of(config)})
    write_tensors(folder / MODEL, model.state_dict(), said)


def hash_of(config: Config) -> str:
    """Return the hash of settings, but for the epochs, which may be raised later."""
    values = {name: value for name, value in config.to_dict().items() if name != "epochs"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def check_settings(path: Path, said: Mapping[str, str], config: Config) -> None:
    """Refuse weights that were trained with other settings than those of config.json."""
    if said.get(SETTINGS, hash_of(config)) != hash_of(config):
        raise ValueError(
            f"{path} was trained with other settings than those in {CONFIG} beside it: one of the "
            "two files is of another run"
        )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors to a .safetensors file, atomically.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    own = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(own, temporary, dict(metadata))
            _sort_metadata(temporary)
        except SafetensorError as error:
            raise _write_error(path, str(error)) from error


def _sort_metadata(path: Path) -> None:
    """Put metadata in order; the package writes it in another order each time."""
    with open(path, "rb+") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(size)
        if len(text) == size:
            stream.seek(8)
            stream.write(text)


def _write_error(path: Path, message: str) -> OSError:
    """Return the OSError that a message of the safetensors package is about."""
    code = re.search(r"\(os error (\d+)\)", message)
    if code is None:
        return OSError(f"{path}: {message.rpartition(': ')[2]}")
    return OSError(int(code[1]), os.strerror(int(code[1])), str(path))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a .safetensors file.

    Raises
    ------
    ValueError
        If the file is damaged or another kind of file.
    OSError
        If it is not there, or must not be read.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with open(path, "rb"):  # the package calls a file that must not be read one that is not there
        pass
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, or not a .safetensors file ({error})") from error


def load(path: str | Path) -> Checkpoint:
    """Load a model that was trained here: a folder written by training.

    Parameters
    ----------
    path : path
        A folder with config.json and model.safetensors; or, where there is no such file or folder,
        the name of a bundled model. :func:`~dindic_models.openers.open_encoder` opens any model.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such folder or bundled model.
    ValueError
        If something is missing, damaged, foreign, or does not fit.

    Examples
    --------
    >>> load("beta10").model.shape
    (1, 28, 28)
    """
    path = place_of(path)
    if path.is_file():
        raise ValueError(f"{path} is a file, and no folder of a training run")
    if not (path / CONFIG).is_file():
        refuse_encodings(path)
    return _load_folder(path)


def place_of(model: str | os.PathLike[str]) -> Path:
    """Return where a model is: the path itself, or that of a bundled model of this name.

    Raises
    ------
    FileNotFoundError
    """
    name, path = os.fspath(model), Path(model)
    if not path.exists() and name in bundled_names():
        path = BUNDLED / name
    if not path.exists():
        raise FileNotFoundError(
            f"no such model: {path}; bundled ones are {', '.join(bundled_names())}"
        )
    return path


def refuse_encodings(path: Path) -> None:
    """Refuse what contains encodings already, a file or a folder with such a file."""
    from disentangle_indicators import read_encodings

    for file in [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file()):
        try:
            found = read_encodings(file)
        except (ValueError, OSError):  # no encodings: a model, or something else
            continue
        raise ValueError(f"{file} contains encodings already ({found.source}): score the file")


def _load_folder(folder: Path) -> Checkpoint:
    for name in (CONFIG, MODEL):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is not a trained model: it has no {name}")
    found = file_hash(folder / MODEL)
    _check_provenance(folder, {"weights": found, "config": file_hash(folder / CONFIG)})
    config, shape, data = read_config(folder)
    try:
        model = make_model(config, shape)
    except (ValueError, TypeError, RuntimeError) as error:  # a size that no tensor can have
        raise ValueError(f"{folder / CONFIG}: {_first_line(error)}") from error
    weights, said = read_tensors(folder / MODEL)
    fit(model, weights, folder / MODEL)
    check_settings(folder / MODEL, said, config)
    step = _step(said)
    return Checkpoint(model.eval(), config, data, found, folder, step, read_devices(folder))


def _check_provenance(folder: Path, found: Mapping[str, str]) -> None:
    """Refuse files other than those that the folder's provenance.json was written for."""
    if not (folder / PROVENANCE).is_file():
        return
    try:
        content = json.loads((folder / PROVENANCE).read_text())
        written = {key: content[key]["sha256"] for key in found if key in content}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / PROVENANCE}: damaged ({error!r})") from error
    if "weights" not in written:
        raise ValueError(f"{folder / PROVENANCE}: damaged (it has no sha256 of the weights)")
    for key, name in (("weights", MODEL), ("config", CONFIG)):
        if written.get(key, found[key]) != found[key]:
            raise ValueError(
                f"{folder / name}: its sha256 is {found[key][7:19]}..., and {PROVENANCE} has "
                f"{str(written[key])[7:19]}...: the file was changed or damaged; install the package "
                "again, or bundle the model again"
            )


def read_config(folder: Path) -> tuple[Config, Shape, dict[str, Any]]:
    """Read config.json: settings, image shape, data set.

    Raises
    ------
    ValueError
        If it is damaged or of another kind.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not a model of this package (format {FORMAT!r} is missing)")
    shape, data, values = (content.get(name) for name in ("shape", "data", "config"))
    if not (isinstance(shape, list) and len(shape) == 3 and all(_count(n) for n in shape)):
        raise ValueError(f"{path}: shape must be three positive integers; it is {shape!r}")
    if isinstance(values, dict) and isinstance(data, dict):
        return settings(values, str(path)), (shape[0], shape[1], shape[2]), data
    raise ValueError(f"{path}: damaged (config and data must be objects)")


def bundled_names() -> tuple[str, ...]:
    """Return the names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG}")))


def step_of(folder: Path) -> int:
    """Return the steps that the run in a folder has been trained for; 0 if there is none."""
    for name in (TRAINING, MODEL):
        if (folder / name).is_file():
            return _step(_metadata(folder / name))
    return 0


def _step(said: Mapping[str, str]) -> int:
    return int(said["step"]) if said.get("step", "").isdecimal() else 0


def _metadata(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        return dict(file.metadata() or {})


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def fit(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model; names and shapes must be its own, and values finite."""
    wanted = model.state_dict()
    for name, mine in wanted.items():
        if name not in weights:
            raise ValueError(f"{path}: {name} is missing")
        if weights[name].shape != mine.shape:
            raise ValueError(
                f"{path}: {name} has the shape {tuple(weights[name].shape)}, not "
                f"{tuple(mine.shape)}"
            )
        if not _plain(weights[name]):
            raise ValueError(f"{path}: {name} is no dense array of floats ({weights[name].dtype})")
        if not weights[name].isfinite().all():
            raise ValueError(f"{path}: {name} holds nan or inf")
    extra = sorted(set(weights) - set(wanted))
    if extra:
        raise ValueError(f"{path}: it holds {extra[0]}, which this network lacks")
    model.load_state_dict(dict(weights))


def _plain(tensor: Tensor) -> bool:
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    return tensor.dtype in floats and tensor.layout is torch.strided and not tensor.is_meta


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def file_hash(path: Path) -> str:
    """Return "sha256:..." of a file."""
    with open(path, "rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
