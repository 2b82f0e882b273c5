"""Run the simulations and write their tables to a page.

    make calibration                                             docs/calibration.md
    PYTHONPATH=tests python -m calibration --only Joint --page -

Finished simulations are kept in build/calibration, under a hash of the sources, so that a run which
was interrupted goes on where it stopped.
"""

import argparse
import hashlib
import json
import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import datetime
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from calibration.cells import SECTIONS, SIMULATIONS
from calibration.measure import SEED, Measured, Simulation, measure

import disentangle_indicators

ROOT = Path(__file__).resolve().parents[2]
ERRORS = 3
"""Monte Carlo errors by which a number may miss its promise before the page calls it outside."""

HEAD = """# Can the errors be trusted? Simulations with known truth

Every error, range, p-value and chance term that a report prints is a promise about other samples.
Here samples are drawn from populations whose indicators are known, and each promise is held against
what happened. A number is outside its promise if it misses by more than {errors} of its own Monte
Carlo errors; the text beside it then says why.

{run}

The command is `make calibration`; the list of simulations is `tests/calibration/cells.py`.
"""

Results = dict[str, tuple[dict[str, Measured], float]]


def sources() -> str:
    """Return a hash of what the numbers depend on, beside the list of simulations."""
    paths = sorted((ROOT / "disentangle_indicators").rglob("*.py"))
    paths += [
        Path(__file__).with_name(f"{name}.py") for name in ("designs", "measure", "questions")
    ]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def kept(folder: Path, simulation: Simulation) -> Path:
    """Return where the results of a simulation are kept."""
    name = hashlib.sha256(f"{simulation.key} {simulation.replications}".encode()).hexdigest()[:16]
    return folder / f"{name}.json"


def stored(folder: Path, simulations: Iterable[Simulation]) -> Results:
    """Return the results that are there."""
    found: Results = {}
    for simulation in simulations:
        path = kept(folder, simulation)
        if path.exists():
            content = json.loads(path.read_text())
            measured = {name: Measured(*values) for name, values in content["measured"].items()}
            if set(measured) == set(simulation.promises):
                found[simulation.key] = measured, content["seconds"]
    return found


def run(folder: Path, simulations: list[Simulation], processes: int) -> Results:
    """Run what is not there yet, and return all results."""
    folder.mkdir(parents=True, exist_ok=True)
    results = stored(folder, simulations)
    left = [s for s in simulations if s.key not in results]
    with ProcessPoolExecutor(processes) as pool:
        jobs = {pool.submit(measure, simulation): simulation for simulation in left}
        for done, job in enumerate(as_completed(jobs), 1):
            simulation = jobs[job]
            try:
                results[simulation.key] = measured, seconds = job.result()
            except Exception as error:  # noqa: BLE001 - one that fails must not cost the others
                print(f"{simulation.key}: {error!r}", file=sys.stderr, flush=True)
                continue
            path = kept(folder, simulation)
            path.write_text(json.dumps({"measured": measured, "seconds": seconds}))
            outside = [
                n for n, m in measured.items() if not simulation.promises[n].holds(m, ERRORS)
            ]
            print(
                f"{done}/{len(jobs)} {seconds:.0f} s {simulation.key}"
                + "".join(f"\n    outside: {line(simulation, n, measured[n])}" for n in outside),
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return results


def line(simulation: Simulation, name: str, found: Measured) -> str:
    """Return what is measured of an outcome, beside its promise."""
    return f"{name}: {simulation.promises[name]}: {number(simulation, name, found)}"


def number(simulation: Simulation, name: str, found: Measured) -> str:
    """Return a share, or the number that is stated beside the number that is shown."""
    if found.stated is None:
        return f"{found.value:.3f} ± {found.error:.3f}"
    return f"{found.stated:.4g} stated, {found.value:.4g} ± {found.error:.1g} shown"


def names(s: Simulation, name: str) -> tuple[str, ...]:
    """Return the first cells of a row: what is printed, of which design, and the promise."""
    options = "".join(f", {key} {value}" for key, value in s.options.items() if key != "name")
    cells = name, f"{s.design.words()}{options}", s.design.n, s.design.d, s.promises[name]
    return tuple(str(cell).replace("|", "\\|") for cell in cells)


def names_of(section: str) -> list[tuple[str, ...]]:
    """Return the first cells of all rows of a section."""
    return [names(s, name) for s in SIMULATIONS if s.section == section for name in s.promises]


def table(simulations: list[Simulation], results: Results) -> list[str]:
    """Return the rows of one table."""
    rows = ["| printed | design | n | d | promise | measured | |", "|---|---|---|---|---|---|---|"]
    for s in simulations:
        for name, promise in s.promises.items():
            found = results[s.key][0][name] if s.key in results else None
            shown = "not run" if found is None else number(s, name, found)
            remark = ""
            if found is not None and not promise.holds(found, ERRORS):
                remark = f"**outside**: {s.remarks.get(name, 'not explained')}"
            rows.append("| " + " | ".join((*names(s, name), shown, remark)) + " |")
    return rows


def page(simulations: list[Simulation], results: Results, date: str) -> str:
    """Return the page."""
    cells = [(s, name) for s in simulations for name in s.promises if s.key in results]
    outside = sum(not s.promises[n].holds(results[s.key][0][n], ERRORS) for s, n in cells)
    seconds = sum(results[s.key][1] for s in simulations if s.key in results)
    replications = sum(s.replications for s in simulations)
    ran = (
        f"Version {disentangle_indicators.__version__}, sources {sources()}, seed {SEED}, run on "
        f"{date}: {len(cells)} numbers of {len(simulations)} simulations with {replications:,} "
        f"samples in {seconds / 60:.0f} CPU minutes. Outside their promises: {outside}."
    )
    text = [HEAD.format(errors=ERRORS, run=ran)]
    for section, words in SECTIONS.items():
        chosen = [s for s in simulations if s.section == section]
        if chosen:
            text += [f"## {section}\n", f"{words}\n", *table(chosen, results), ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", default=str(ROOT / "docs" / "calibration.md"), help="or - ")
    parser.add_argument("--only", default="", help="part of the name of the sections")
    parser.add_argument("--quick", action="store_true", help="the subset of the test suite")
    parser.add_argument("--replications", type=int, help="samples of each simulation")
    parser.add_argument("--processes", type=int, default=2, help="processes")
    asked = parser.parse_args()
    chosen = [s for s in SIMULATIONS if asked.only in s.section and (s.quick or not asked.quick)]
    if asked.replications:
        from dataclasses import replace

        chosen = [replace(s, replications=asked.replications) for s in chosen]
    results = run(ROOT / "build" / "calibration" / sources(), chosen, asked.processes)
    text = page(chosen, results, datetime.date.today().isoformat())
    if asked.page == "-":
        print(text)
    else:
        Path(asked.page).write_text(text)


if __name__ == "__main__":
    main()
