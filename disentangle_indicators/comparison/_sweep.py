"""Sweeps: indicators and metrics against a setting such as beta, averaged over seeds."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.comparison._comparison_result import Comparison
from disentangle_indicators.comparison._sweep_result import Sweep
from disentangle_indicators.registry import INDICATORS

__all__ = ["settings_of", "sweep"]

DISTORTION = "distortion"
"""Key of the metadata with the distortion of an encoder."""

BEND = 0.1
"""Least distance of a bend from the chord, where both axes have length 1."""


def sweep(
    compared: Comparison,
    x: str | Sequence[float],
    *,
    group: str | Sequence[Any] | None = None,
    settings: str | Path | None = None,
) -> Sweep:
    """Average encoders over seeds, against a setting.

    Parameters
    ----------
    compared : Comparison
        Of fresh scorecards, of saved reports, or of both.
    x : str or sequence of float
        The setting of each encoder, or its name: a column of `settings`, a key of the metadata, or
        a word that a number follows in the names of files, as in ``beta4_seed0.npz``.
    group : str or sequence, optional
        What tells encoders of one setting apart, such as "seed"; found as `x` is. Two encoders of
        the same setting and group are refused.
    settings : path, optional
        A CSV file with a column `file` and one for each setting.

    Returns
    -------
    Sweep

    Raises
    ------
    ValueError
        Where a setting is not found or is no number, where a distortion in the metadata is none, and
        on an encoder that is there twice.

    Notes
    -----
    The candidate of an elbow is the setting that is farthest from the chord between the first and
    the last, both axes scaled to length 1 (Satopää et al., 2011): of distortion against rate where
    the metadata have the distortion, else of the rate against the setting, whose logarithm is taken
    where it is positive.

    Examples
    --------
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.comparison import compare
    >>> mean = np.random.default_rng(0).normal(size=(200, 2))
    >>> cards = [score(mean, std=s, name=f"beta{b}.npz") for b, s in ((1, 0.1), (2, 0.2), (4, 0.4))]
    >>> sweep(compare(cards), "beta").x
    array([1., 2., 4.])
    """
    names = [line.name for line in compared.lines]
    found = settings_of(compared, x, settings) if isinstance(x, str) else list(x)
    _check_length("x", found, names)
    values = [_number(value, name, x) for value, name in zip(found, names, strict=True)]
    groups: list[Any] = list(range(len(names)))
    if group is not None:
        groups = settings_of(compared, group, settings) if isinstance(group, str) else list(group)
        _check_length("group", groups, names)
        _check_once(values, groups, names)
    settings_, of = np.unique(values, return_inverse=True)
    columns = _columns(compared)
    means, errors = {}, {}
    for name, (value, spread) in columns.items():
        pairs = [_averaged(value[of == k], spread[of == k]) for k in range(len(settings_))]
        means[name], errors[name] = (np.array(column) for column in zip(*pairs, strict=True))
    elbow, of_what = _elbow(settings_, means)
    return Sweep(
        x_name=x if isinstance(x, str) else "x",
        group_name=group if isinstance(group, str) else "",
        x=settings_,
        counts=tuple(np.bincount(of).tolist()),
        means=means,
        errors=errors,
        elbow=elbow,
        elbow_of=of_what,
        provenance=Provenance(
            "disentangle_indicators.comparison.sweep",
            () if compared.provenance is None else compared.provenance.inputs,
            {"x": x if isinstance(x, str) else values, "encoders": names},
        ),
    )


def settings_of(compared: Comparison, name: str, table: str | Path | None = None) -> list[str]:
    """Return a setting of each encoder: from a table, the metadata, or the names of files.

    Raises
    ------
    ValueError
        Where an encoder has none.

    Examples
    --------
    >>> from disentangle_indicators import score
    >>> from disentangle_indicators.comparison import compare
    >>> cards = [score(np.eye(2), std=np.eye(2) + 1, name=f"b=1e-{k}/seed{k}.npz") for k in (1, 2)]
    >>> settings_of(compare(cards), "b"), settings_of(compare(cards), "seed")
    (['1e-1', '1e-2'], ['1', '2'])
    """
    given = {} if table is None else _table(Path(table), name)
    out = []
    for report in compared.reports:
        full = str(report["name"])
        value = given.get(full, given.get(Path(full).name))
        if value is None and table is None:
            value = (report.get("metadata") or {}).get(name) or _in_name(full, name)
        if value is None:
            where = f"{table}" if table is not None else "its metadata or its name"
            raise ValueError(
                f"{full}: there is no {name} in {where}; give a CSV file with the columns file and "
                f"{name} by settings="
            )
        out.append(str(value))
    return out


def _in_name(full: str, name: str) -> str | None:
    """Return the number behind a word in the name of a file, that nearest to its end."""
    number = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
    pattern = rf"(?<![A-Za-z]){re.escape(name)}[=_-]?({number})"
    found = re.findall(pattern, full)
    return found[-1] if found else None


def _table(path: Path, name: str) -> dict[str, str]:
    """Read one column of a CSV file, by the names of its files."""
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for column in ("file", name):
        if not rows or column not in rows[0]:
            raise ValueError(f"{path}: there is no column {column!r}")
    return {row["file"]: row[name] for row in rows}


def _check_length(what: str, values: Sequence[Any], names: Sequence[str]) -> None:
    if len(values) != len(names):
        raise ValueError(
            f"{what} must have one value per encoder, {len(names)}; got {len(values)}"
        )


def _number(value: Any, name: str, x: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{name}: {x if isinstance(x, str) else 'x'} must be a number; got {value!r}"
        )
    return number


def _check_once(values: Sequence[float], groups: Sequence[Any], names: Sequence[str]) -> None:
    seen: dict[tuple[float, str], str] = {}
    for value, each, name in zip(values, groups, names, strict=True):
        key = value, str(each)
        if key in seen:
            raise ValueError(f"{seen[key]} and {name} are the same setting and group: {key}")
        seen[key] = name


def _columns(compared: Comparison) -> dict[str, tuple[Float, Float]]:
    """Return the values and errors of each column, NaN where an encoder has none."""
    rows: list[dict[str, tuple[Any, Any]]] = []
    for line, report in zip(compared.lines, compared.reports, strict=True):
        row: dict[str, tuple[Any, Any]] = {
            x: (line.values[x], line.errors.get(x)) for x in INDICATORS if x in line.values
        }
        row |= {x: (line.counts[x], None) for x in ("used", "unused") if x in line.counts}
        if "total_information" in line.exact:
            total = line.exact["total_information"]
            row["information"] = total.value, total.standard_error
        if "total_correlation" in line.joint:
            low, high = line.joint["total_correlation"]
            row |= {"total_correlation_low": (low, None), "total_correlation_high": (high, None)}
        row |= line.metrics
        distortion = (report.get("metadata") or {}).get(DISTORTION)
        if distortion is not None:
            row[DISTORTION] = _number(distortion, line.name, DISTORTION), None
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    lacking = (None, None)
    return {
        name: (
            np.array([_or_nan(row.get(name, lacking)[0]) for row in rows]),
            np.array([_or_nan(row.get(name, lacking)[1]) for row in rows]),
        )
        for name in names
        if name != "kl_q_star_prior"  # Definition 4 at the exact q*
    }


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def _averaged(values: Float, errors: Float) -> tuple[float, float]:
    """Return the average of the values that there are, and its standard error."""
    there = ~np.isnan(values)
    count = int(there.sum())
    if count == 0:
        return math.nan, math.nan
    if count == 1:
        return float(values[there][0]), float(errors[there][0])
    spread = float(np.std(values[there], ddof=1)) / math.sqrt(count)
    return float(np.mean(values[there])), spread


def _elbow(x: Float, means: Mapping[str, Float]) -> tuple[float | None, str]:
    """Return the setting of the greatest bend, and what bends there."""
    rate = means.get("kl_posterior_prior")
    if len(x) < 3 or rate is None or np.isnan(rate).any():
        return None, ""
    distortion = means.get(DISTORTION)
    if distortion is not None and not np.isnan(distortion).any():
        across, what = distortion, "The rate against the distortion"
    else:
        across, what = (np.log(x) if np.all(x > 0) else x), "The rate"
    scaled = [_unit(across), _unit(rate)]
    chord = np.array([scaled[0][-1] - scaled[0][0], scaled[1][-1] - scaled[1][0]])
    if not np.linalg.norm(chord) > 0:
        return None, ""
    apart = chord[0] * (scaled[1] - scaled[1][0]) - chord[1] * (scaled[0] - scaled[0][0])
    far = np.abs(apart) / np.linalg.norm(chord)
    return (float(x[int(np.argmax(far))]), what) if far.max() > BEND else (None, "")


def _unit(values: Float) -> Float:
    width = float(np.ptp(values))
    return np.asarray((values - values.min()) / (width if width > 0 else 1.0))
