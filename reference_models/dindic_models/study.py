"""The paper's experiments, rerun: a grid of models trained together, measured and compared.

The folder of a study holds ``models/NAME/``, each a run that ``dindic train --resume`` can go on
with; ``encodings/NAME.safetensors``; ``results.csv``, a row for every model; ``latents.csv``, a row
for every latent of every model; and ``figures/``. A study that was stopped goes on where it was:
models that are trained are not trained again, and what was measured of them stays, also of those
that a later call leaves out.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from dindic_models._study_result import Study, base_name
from dindic_models.batches import Progress
from dindic_models.checkpoint import MODEL, Checkpoint, file_hash, load, step_of
from dindic_models.config import Config
from dindic_models.data import Data, rows, some
from dindic_models.encode import encode
from dindic_models.feed import Feed
from dindic_models.folders import SHARED, check_folder
from dindic_models.history import HISTORY, read_csv, write_csv
from dindic_models.measure import IMAGES, KEPT, Measured, about_run, keep, kept, measure
from dindic_models.stopping import TimeIsUpError, TimeLimit
from dindic_models.train import TrainingDivergedError, train_together
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._result import plain

__all__ = ["Measured", "Study", "measure", "run_study"]

LOOKS = 10
"""Looks at held-out images in the course of a run: each costs about as much as an epoch."""

SAVE_EVERY = 120.0
"""Seconds between checkpoints of a group."""

HEADER = 8192
"""Bytes of an encodings file beside its arrays, at most: names, fingerprints."""

FEWEST = 1000
"""Images that encodings of the figures have at least, where the data set has as many."""


def run_study(
    configs: Mapping[str, Config],
    data: Data,
    folder: str | Path,
    *,
    source: str | None = None,
    together: int | None = None,
    images: int = IMAGES,
    device: torch.device | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    limit: TimeLimit | None = None,
    max_mb: float | None = None,
    drawn: Collection[str] = (),
) -> Study:
    """Train every run that is not trained yet, measure all, and write the tables.

    Parameters
    ----------
    configs : dict of Config
        Of :func:`dindic_models.grids.runs`. Runs whose batches are the same are trained together.
    data : Data
    folder : path
        Of the study, new or begun; runs in it with other settings are refused.
    source : str, optional
        Where the data came from, kept for ``dindic encode``.
    together : int, optional
        Models trained at once: by default all on a GPU, as many as torch has threads on a CPU.
    images : int
    device : torch.device, optional
    progress, say
        As for :func:`dindic_models.train.train`.
    limit : TimeLimit, optional
        When it is over, the study stops at the next step of training or before the next model is
        measured; the same call resumes.
    max_mb : float, optional
        Megabytes (10^6 bytes) of an encodings file. Then encodings are kept of `drawn` runs only,
        of as many test images as fit, chosen at random. Numbers are computed on all `images`.
    drawn : collection of str
        Names, without seed, of the runs whose encodings figures are drawn from.

    Returns
    -------
    Study
        A run that diverged or cannot be measured is in `failed`; the others are not touched by it.

    Raises
    ------
    ValueError
        If a folder holds another run, the data do not fit, or `max_mb` leaves encodings of fewer
        than ``FEWEST`` images.
    TimeIsUpError
        After the limit and checkpoints.
    TrainingStoppedError
        After SIGINT or SIGTERM and checkpoints of what is being trained.

    Examples
    --------
    >>> import tempfile
    >>> from dindic_models.data import open_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images = np.random.default_rng(0).random((60, 8, 8), np.float32)
    ...     np.save(f"{folder}/images.npy", images)
    ...     config = Config("array", "mlp", latents=2, epochs=1, batch=16)
    ...     done = run_study({"a": config}, open_data(f"{folder}/images.npy"), f"{folder}/study")
    >>> done.rows["a"]["images"], done.rows["a"]["epochs"]
    (6, 1)
    """
    folder, device = Path(folder), device or torch.device("cpu")
    if together is not None and together < 1:
        raise ValueError(f"together must be at least 1; got {together}")
    names = list(configs)
    models = {name: folder / "models" / name for name in names}
    number = together or (len(names) if device.type == "cuda" else torch.get_num_threads())
    kept_rows = {
        name: _rows_that_stay(name, config, data, images, max_mb, drawn)
        for name, config in configs.items()
    }
    groups = list(_groups(configs, models, data, number))
    (folder / "encodings").mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    teach = partial(
        _train, data=data, source=source, device=device, progress=progress, say=say, limit=limit
    )
    for done, group in enumerate(groups):
        _check_time(limit, f"after {done} of {len(groups)} groups of models that lack training")
        failed |= teach({name: configs[name] for name in group}, models)
    trained = [name for name in names if name not in failed]
    measuring: Any = trained
    if progress is not None:
        measuring = progress(trained, "measuring", len(trained))
    measured: dict[str, Measured] = {}
    for name in measuring:
        _check_time(limit, f"after {len(measured)} of {len(trained)} models are measured")
        try:
            measured[name] = _measured(folder, name, data, images, device, kept_rows[name])
        except (FloatingPointError, ValueError) as error:
            failed[name] = f"it cannot be measured: {error}"
    if (folder / "models").is_dir():
        measured |= _others(folder, names, data)
    table = {
        name: about_run(folder / "models" / name) | found.row for name, found in measured.items()
    }
    latents = {name: found.latents for name, found in measured.items()}
    about = {"runs": names, "images": images, "data": data.fingerprint}
    provenance = Provenance("dindic_models.study.run_study", parameters=about)
    study = Study(data.name, table, failed, latents, folder, data, provenance=provenance)
    if table:
        lines = [{"run": name} | plain(row) for name, row in table.items()]
        write_csv(folder / "results.csv", lines)
        write_csv(folder / "latents.csv", list(_latent_rows(measured)))
    return study


def _check_time(limit: TimeLimit | None, when: str) -> None:
    if limit is not None and limit.is_over():
        raise TimeIsUpError(f"the time is up {when}")


def _rows_that_stay(
    name: str,
    config: Config,
    data: Data,
    images: int,
    max_mb: float | None,
    drawn: Collection[str],
) -> int | None:
    """Return of how many test images the encodings are kept; None for all that are measured.

    Raises
    ------
    ValueError
        If they would be too few for figures; before anything is trained.
    """
    if max_mb is None:
        return None
    if base_name(name) not in drawn:
        return 0
    number = min(len(rows(data, "test", split=config.split, seed=config.split_seed)), images)
    each = 2 * config.latents * (8 if config.precision == "float64" else 4)
    each += sum(
        8 * int(np.prod(a.shape[1:])) for a in (data.factors, data.labels) if a is not None
    )
    fit, fewest = int((1e6 * max_mb - HEADER) // each), min(number, FEWEST)
    if fit < fewest:
        least = np.ceil((fewest * each + HEADER) / 1e5) / 10
        raise ValueError(
            f"max_mb must be at least {least:g}: figures need the encodings of {name}, of "
            f"{fewest} test images at least; got {max_mb:g}"
        )
    return None if fit >= number else fit


def _groups(
    configs: Mapping[str, Config], models: Mapping[str, Path], data: Data, number: int
) -> Iterator[list[str]]:
    """Yield names of runs to be trained together: the same batches, from the same step on."""
    _, *shape = data.images.shape
    per_key: dict[Any, list[str]] = {}
    for name, config in configs.items():
        done, steps = step_of(models[name]), config.epochs * _steps(config, data)
        whole = done == steps and _is_whole(models[name], config, steps)
        image = (shape[0], shape[1], shape[2])
        check_folder(models[name], config, image, data, resume=True, finished=whole)
        if done > steps:
            raise ValueError(
                f"{models[name]} has been trained for more than {config.epochs} epochs"
            )
        if not whole:
            shared = tuple(getattr(config, setting) for setting in (*SHARED, "epochs"))
            per_key.setdefault((shared, done), []).append(name)
    for names in per_key.values():
        size = -(-len(names) // -(-len(names) // number))
        yield from (names[start : start + size] for start in range(0, len(names), size))


def _is_whole(folder: Path, config: Config, steps: int) -> bool:
    """Say whether model and history are those of the last step, not what a kill left of before."""
    if not ((folder / MODEL).is_file() and (folder / HISTORY).is_file()):
        return False
    try:
        found = load(folder)
    except ValueError:  # damaged: training.safetensors is what it is written from
        return False
    last = int(read_csv(folder / HISTORY)[-1]["step"])
    return (found.config, found.step, last) == (config, steps, steps)


def _steps(config: Config, data: Data) -> int:
    """Return the steps of an epoch."""
    train = rows(data, "train", split=config.split, seed=config.split_seed)
    return -(-len(train) // config.batch)


def _train(
    configs: dict[str, Config], models: Mapping[str, Path], **others: Any
) -> dict[str, str]:
    """Train a group; one that diverges is left out, and the others begin again where they were."""
    failed: dict[str, str] = {}
    epochs = next(iter(configs.values())).epochs
    while configs:
        try:
            train_together(
                list(configs.values()),
                folders=[models[name] for name in configs],
                resume=True,
                judge_every=max(1, epochs // LOOKS),
                save_every=SAVE_EVERY,
                **others,
            )
        except TrainingDivergedError as error:
            failed[error.folder.name] = str(error)
            configs = {name: c for name, c in configs.items() if models[name] != error.folder}
        else:
            break
    return failed


def _measured(
    folder: Path, name: str, data: Data, images: int, device: torch.device, stay: int | None
) -> Measured:
    """Return what was measured of a model, or measure it; keep encodings of `stay` images."""
    model, encodings = folder / "models" / name, folder / "encodings" / f"{name}.safetensors"
    said = {"model": file_hash(model / MODEL), "data": data.fingerprint, "asked": images}
    said |= {} if stay is None else {"encodings": stay}
    before = kept(model, encodings)
    if before is not None and before.about == said:
        return before
    (model / KEPT).unlink(missing_ok=True)  # it says nothing of the encodings that come now
    if stay is None:
        found = measure(load(model), data, encodings, images=images, device=device)
    else:
        found = _measured_and_cut(load(model), data, encodings, images, device, stay)
    keep(model, replace(found, about=said))
    return found


def _measured_and_cut(
    checkpoint: Checkpoint,
    data: Data,
    encodings: Path,
    images: int,
    device: torch.device,
    stay: int,
) -> Measured:
    """Measure on all images, and write the encodings of some of them, at random, or of none."""
    config = checkpoint.config
    with TemporaryDirectory() as scratch:
        whole = Path(scratch, encodings.name)
        found = measure(checkpoint, data, whole, images=images, device=device)
    encodings.unlink(missing_ok=True)
    if stay:
        seed = config.split_seed
        test = some(rows(data, "test", split=config.split, seed=seed), images, seed=seed)
        fewer = some(test, stay, seed=seed)
        about = {"model": checkpoint.sha256}
        encode(encodings, checkpoint.model, Feed(data, fewer), metadata=about, device=device)
    return found


def _others(folder: Path, names: Sequence[str], data: Data) -> dict[str, Measured]:
    """Return what is known of the other runs in the folder, as long as it is still true."""
    found = {}
    for path in sorted((folder / "models").iterdir()):
        encodings = folder / "encodings" / f"{path.name}.safetensors"
        before = None if path.name in names else kept(path, encodings)
        if before is not None and (path / MODEL).is_file():
            said = {"model": file_hash(path / MODEL), "data": data.fingerprint}
            if all(before.about.get(key) == said[key] for key in said):
                found[path.name] = before
    return found


def _latent_rows(measured: Mapping[str, Measured]) -> Iterator[dict[str, Any]]:
    for name, found in measured.items():
        for latent in range(len(found.latents["information"])):
            values = {key: f"{array[latent]:.6g}" for key, array in found.latents.items()}
            yield {"run": name, "latent": latent, **values}
