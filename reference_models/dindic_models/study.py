"""The paper's experiments, rerun: a grid of models trained together, measured and compared.

The folder of a study holds ``models/NAME/``, each a run that ``dindic train --resume`` can go on
with; ``encodings/NAME.safetensors``; ``results.csv``, a row for every model; ``latents.csv``, a row
for every latent of every model; and ``figures/``. A study that was stopped goes on where it was:
models that are trained are not trained again, and what was measured of them stays, also of those
that a later call leaves out.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from dindic_models.batches import Batches, Progress
from dindic_models.checkpoint import MODEL, Checkpoint, file_hash, load, step_of
from dindic_models.claims import Claim, claims
from dindic_models.config import Config
from dindic_models.data import Data, rows, some
from dindic_models.devices import set_precision
from dindic_models.encode import encode
from dindic_models.grids import PRINTED
from dindic_models.history import Row, evaluate, write_csv
from dindic_models.train import (
    SHARED,
    TimeIsUpError,
    TimeLimit,
    TrainingDivergedError,
    check_folder,
    train_together,
)
from disentangle_indicators import indicators, read_encodings
from disentangle_indicators._files import atomic
from disentangle_indicators._result import Block, Result, Table, plain
from disentangle_indicators.aggregate import marginals
from disentangle_indicators.scorecard import gather

__all__ = ["IMAGES", "Measured", "Study", "about_run", "in_epochs", "measure", "run_study"]

Floats = NDArray[np.floating[Any]]

IMAGES = 10_000
"""Test images that the indicators are computed on (appendix D.2)."""

GAUSSIAN = ("fixed", "learned")
"""The noise models of one variance, which have a normalised one."""

MEASURED = "dindic.measured/1"
"""The layout of measured.json."""

LOOKS = 10
"""Looks at held-out images in the course of a run: each costs about as much as an epoch."""

HISTORY = "history.csv"

SAVE_EVERY = 120.0
"""Seconds between checkpoints of a group."""

HEADER = 8192
"""Bytes of an encodings file beside its arrays, at most: names, fingerprints."""

FEWEST = 1000
"""Images that encodings of the figures have at least, where the data set has as many."""


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
    if config is None:
        raise ValueError(f"{checkpoint.path}: measuring needs the settings it was trained with")
    device = device or torch.device("cpu")
    test = some(
        rows(data, "test", split=config.split, seed=config.split_seed),
        images,
        seed=config.split_seed,
    )
    encode(encodings, model, data, test, metadata={"model": checkpoint.sha256}, device=device)
    dtype = next(model.parameters()).dtype
    judged = evaluate(model, Batches(data.images, test, device, dtype), config)
    mean, var = gather(read_encodings(encodings).batches)
    found, exact = indicators(mean, var, errors=False), marginals(mean, var)
    third = np.asarray(found.mutual_information_per_latent)
    seventh = np.asarray(found.mutual_information_per_latent_via_q_star)
    normal = np.abs(np.asarray(found.second_moment) - 1) <= 0.1
    sigma2 = float(model.noise.variance().detach())
    row: Row = {
        "sigma2": sigma2,
        "normalised_variance": config.beta * sigma2,
        "squared_error": float(judged["squared_error"]),
        "evlb": float(judged["evlb"]),
        "evlb_at_normalised_variance": float(judged["evlb_at_normalised_variance"]),
        "kl_posterior_prior": float(found.kl_posterior_prior),
        "mutual_information": float(found.mutual_information),
        "largest_mutual_information_per_latent": float(third.max()),
        "kl_aggregate_prior": float(found.kl_aggregate_prior),
        "kl_q_star_prior": float(found.kl_q_star_prior),
        "mutual_information_via_q_star": float(found.mutual_information_via_q_star),
        "largest_mutual_information_per_latent_via_q_star": float(seventh.max()),
        "gaussian_total_correlation": float(judged["gaussian_total_correlation"]),
        "total_information": float(exact.information.sum()),
        "total_kl_prior": float(exact.kl_prior.sum()),
        "used": int(found.used),
        "used_exact": int((exact.information > found.threshold).sum()),
        "normal_variance": int(normal.sum()),
        "normal_variance_used": int((normal & (third > found.threshold)).sum()),
        "images": len(test),
    }
    latents = {
        "second_moment": np.asarray(found.second_moment),
        "mutual_information_per_latent": third,
        "mutual_information_per_latent_via_q_star": seventh,
        "information": np.asarray(exact.information),
        "kl_prior": np.asarray(exact.kl_prior),
    }
    return Measured(row, latents)


@dataclass(frozen=True, eq=False, repr=False)
class Study(Result):
    """A study as it is on disk.

    Parameters
    ----------
    dataset : str
    rows : dict of dict
        By the names of the runs: settings (``noise``, ``beta``, ``seed``, ``epochs`` trained,
        ``seconds``, ``device``), then those of :class:`Measured`.
    failed : dict of str
        Why runs have no row.
    latents : dict of dict of array
        By the names of the runs: those of :class:`Measured`.
    folder : path
    data : Data
    """

    schema: ClassVar[str] = "dindic.study/1"

    dataset: str
    rows: dict[str, dict[str, Any]]
    failed: dict[str, str]
    latents: dict[str, Mapping[str, Floats]]
    folder: Path
    data: Data

    def to_dict(self) -> dict[str, Any]:
        """Return the rows and what failed."""
        content = {"dataset": self.dataset, "data": self.data.fingerprint, "failed": self.failed}
        said = [claim._asdict() for claim in self.claims()]
        return {"schema": self.schema, **content, "rows": plain(self.rows), "claims": said}

    def checkpoint(self, name: str) -> Checkpoint:
        """Load the model of a run."""
        return load(self.folder / "models" / name)

    def encoded(self, name: str) -> tuple[Floats, Floats]:
        """Return means and variances of the test images under the model of a run."""
        mean, var = gather(
            read_encodings(self.folder / "encodings" / f"{name}.safetensors").batches
        )
        return np.asarray(mean), np.asarray(var)

    def blocks(self) -> list[Block]:
        """Return sentences on how to read it, and the table of models."""
        every = list(self.rows.values())
        if not every:
            return ["no run has a row", *_failures(self.failed)]
        epochs = sorted({int(row["epochs"]) for row in every})
        devices = sorted({str(row["device"]) for row in every})
        said = {
            "RUNS": f"{len(every)} models of {self.dataset}, {in_epochs(epochs)}, trained on "
            f"{' and '.join(devices)}; measured on {_span(sorted({row['images'] for row in every}))}"
            " test images.",
            "READ": "EVLB has two conventions: with the model's own sigma^2, and with beta "
            "sigma^2; compare models within one column. Def 2 is an upper bound of the "
            "information, the sum of exact I(x; z_h) as well unless latents are independent; Def 4 "
            "a lower bound of KL(q(z) || p) that sees second moments only. S ≈ 1 counts latents "
            "with |S - 1| <= .1, unused ones too.",
        }
        columns = ("run", "βσ²", "error", "EVLB", "at βσ²", "Def 2", "Σ I_h", "Def 4", "used")
        lines = tuple(
            (
                name,
                f"{row['normalised_variance']:.3g}" if row["noise"] in GAUSSIAN else "",
                f"{row['squared_error']:.3g}",
                f"{row['evlb']:.0f}",
                _number(row["evlb_at_normalised_variance"], ".0f"),
                f"{row['mutual_information']:.1f}",
                f"{row['total_information']:.1f}",
                f"{row['kl_aggregate_prior']:.3g}",
                str(row["used"]),
                str(row["normal_variance"]),
            )
            for name, row in self.rows.items()
        )
        note = (
            "βσ², error: squared pixel units, of a pixel; EVLB, Def 2, Σ I_h, Def 4: nats an image"
        )
        blocks: list[Block] = [said, Table((*columns, "S ≈ 1"), lines, "Models", note)]
        tables = [table for table in (self._printed(), self._claims()) if table.rows]
        return [*blocks, *tables, *_failures(self.failed)]

    def claims(self) -> list[Claim]:
        """Return what the paper says of its experiments, and what these runs show."""
        return claims(self.rows, self.latents)

    def first(self, run: str) -> str:
        """Return the name of a run, that of the first seed there is."""
        return next(name for name in self.rows if base_name(name) == run)

    def _claims(self) -> Table:
        lines = tuple((c.where, c.said, c.measured, c.reading) for c in self.claims())
        return Table(("", "the paper says", "these runs", "how to read it"), lines, "Section 8")

    def _printed(self) -> Table:
        printed = PRINTED.get(self.dataset, {})
        lines = tuple(
            (name, "βσ²", f"{value:g}", f"{row[column]:.3g}")
            for name, row in self.rows.items()
            for column, value in printed.get(base_name(name), {}).items()
        )
        return Table(("run", "number", "the paper", "here"), lines, "Printed in the paper")


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
        than :data:`FEWEST` images.
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
    kept: dict[str, Measured] = {}
    for name in measuring:
        _check_time(limit, f"after {len(kept)} of {len(trained)} models are measured")
        try:
            kept[name] = _measured(folder, name, data, images, device, kept_rows[name])
        except (FloatingPointError, ValueError) as error:
            failed[name] = f"it cannot be measured: {error}"
    if (folder / "models").is_dir():
        kept |= _others(folder, names, data)
    table = {name: about_run(folder / "models" / name) | found.row for name, found in kept.items()}
    latents = {name: found.latents for name, found in kept.items()}
    study = Study(data.name, table, failed, latents, folder, data)
    if table:
        lines = [{"run": name} | plain(row) for name, row in table.items()]
        write_csv(folder / "results.csv", lines)
        write_csv(folder / "latents.csv", list(_latent_rows(kept)))
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
        check_folder(models[name], config, (shape[0], shape[1], shape[2]), data, resume=True)
        done, steps = step_of(models[name]), config.epochs * _steps(config, data)
        if done > steps:
            raise ValueError(
                f"{models[name]} has been trained for more than {config.epochs} epochs"
            )
        if done < steps or not _is_whole(models[name], config, steps):
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
    return (found.config, found.step, int(_history(folder)[-1]["step"])) == (config, steps, steps)


def _history(model: Path) -> list[dict[str, str]]:
    with open(model / HISTORY, newline="") as stream:
        return list(csv.DictReader(stream))


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
    model, kept = folder / "models" / name, folder / "models" / name / "measured.json"
    encodings = folder / "encodings" / f"{name}.safetensors"
    said = {"model": file_hash(model / MODEL), "data": data.fingerprint, "asked": images}
    said |= {} if stay is None else {"encodings": stay}
    before = _kept(folder, name)
    if before is not None and before.about == said:
        return before
    kept.unlink(missing_ok=True)  # it says nothing of the encodings that come now
    if stay is None:
        found = measure(load(model), data, encodings, images=images, device=device)
    else:
        found = _measured_and_cut(load(model), data, encodings, images, device, stay)
    lists = {key: values.tolist() for key, values in found.latents.items()}
    content = {"schema": MEASURED, **said, "row": found.row, "latents": lists}
    with atomic(kept) as path:
        path.write_text(json.dumps(content))
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
    if stay and config is not None:
        seed = config.split_seed
        test = some(rows(data, "test", split=config.split, seed=seed), images, seed=seed)
        fewer = some(test, stay, seed=seed)
        about = {"model": checkpoint.sha256}
        encode(encodings, checkpoint.model, data, fewer, metadata=about, device=device)
    return found


def _kept(folder: Path, name: str) -> Measured | None:
    """Return what was measured of a model before; None where that is not there or not whole."""
    path = folder / "models" / name / "measured.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if content.pop("schema") != MEASURED:
            return None
        row, latents = content.pop("row"), content.pop("latents")
        encodings = folder / "encodings" / f"{name}.safetensors"
        if content.get("encodings") != 0 and not encodings.is_file():
            return None
        return Measured(row, {key: np.asarray(v) for key, v in latents.items()}, content)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _others(folder: Path, names: Sequence[str], data: Data) -> dict[str, Measured]:
    """Return what is known of the other runs in the folder, as long as it is still true."""
    found = {}
    for path in sorted((folder / "models").iterdir()):
        before = None if path.name in names else _kept(folder, path.name)
        if before is not None and (path / MODEL).is_file():
            said = {"model": file_hash(path / MODEL), "data": data.fingerprint}
            if all(before.about.get(key) == said[key] for key in said):
                found[path.name] = before
    return found


def base_name(run: str) -> str:
    """Return the name of a run without its seed."""
    return run.partition("_seed_")[0]


def about_run(model: Path) -> dict[str, Any]:
    """Return what a row says of the training of the model in a folder.

    ``seconds`` are those of its epochs by the clock; of models that were trained together each has
    its share. Looks at held-out images and checkpoints are not counted.
    """
    found = load(model)
    assert found.config is not None
    history = _history(model)
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


def _latent_rows(kept: Mapping[str, Measured]) -> Iterator[dict[str, Any]]:
    for name, found in kept.items():
        for latent in range(len(found.latents["information"])):
            values = {key: f"{array[latent]:.6g}" for key, array in found.latents.items()}
            yield {"run": name, "latent": latent, **values}


def in_epochs(epochs: Sequence[int]) -> str:
    """Return "5 epochs", or the range."""
    return f"{_span(epochs)} epoch{'s' if epochs[-1] > 1 else ''}"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)


def _failures(failed: Mapping[str, str]) -> list[Block]:
    return [f"{name} has no row: {why}" for name, why in failed.items()]
