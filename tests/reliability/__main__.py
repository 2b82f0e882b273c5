"""Try to break it, row by row, and write what came of it to a page.

    make reliability                                          docs/reliability.md
    PYTHONPATH=tests python -m reliability --only readers     some rows
    PYTHONPATH=tests python -m reliability --again            all rows anew

A row that was run is kept in build/reliability, so that a run that was interrupted goes on.
"""

import argparse
import datetime
import json
import os
import sys
import time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

from collections.abc import Iterable
from pathlib import Path

from reliability.rows import HEADINGS, OPEN, ROWS

import disentangle_indicators

ROOT = Path(__file__).resolve().parents[2]

HEAD = """# What was tried to break it

Each row is one function of `tests/reliability`, which was run on the day in its line. The last column is the
largest rate of faults that such a count still allows: 3/n where there was none, with 95% confidence (the rule of
three), else the share that was seen. Faults that stand are at the end of the page.

{run}

`make reliability` writes this page, and goes on where it stopped. A small part of each row is a test.
"""

Kept = dict[str, dict[str, object]]


def place(folder: Path, key: str) -> Path:
    """Return where a row is kept."""
    return folder / f"{key.replace(' ', '_').replace('/', '_')}.json"


def stored(folder: Path) -> Kept:
    """Return the rows that were run."""
    found = {}
    for key in ROWS:
        if place(folder, key).exists():
            found[key] = json.loads(place(folder, key).read_text())
    return found


def run(folder: Path, keys: Iterable[str]) -> None:
    """Run rows, and keep each; rows of many files go on in turn, some files at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    left = list(keys)
    while left:
        for key in tuple(left):
            begun = time.monotonic()
            before = stored(folder).get(key)
            found = ROWS[key](before) if key.startswith("readers") else ROWS[key]()
            found["date"] = datetime.date.today().isoformat()
            place(folder, key).write_text(json.dumps(found, indent=1))
            print(
                f"{time.monotonic() - begun:.0f} s {key}: {found['count']} {found['outcome']}",
                *found["bad"][:5], sep="\n    ", file=sys.stderr, flush=True,
            )  # fmt: skip
            if found.get("complete", True):
                left.remove(key)


def limit(found: dict[str, object]) -> str:
    """Return the share of faults, or the most that it may be."""
    count, bad = int(found["count"]), len(found["bad"])
    return f"{bad / count:.1g} seen" if bad else f"{min(1, 3 / count):.1g}" if count else ""


def lines(section: str, rows: Kept) -> list[str]:
    """Return the table of a section."""
    text = [
        f"## {section}",
        "",
        HEADINGS[section],
        "",
        "| what | cases | outcome | faults | rate | date |",
        "|---|---|---|---|---|---|",
    ]
    for key in ROWS:
        if key.partition(": ")[0] != section:
            continue
        name = key.partition(": ")[2]
        if key not in rows:
            text.append(f"| {name} | | not run | | | |")
            continue
        found = rows[key]
        bad = len(found["bad"])
        red = f"**{bad}**" if bad else "0"
        outcome = str(found["outcome"]).replace("|", "\\|")
        text.append(
            f"| {name} | {found['count']:,} | {outcome} | {red} | {limit(found)} | {found['date']} |"
        )
    return [*text, ""]


def page(rows: Kept) -> str:
    """Return the page."""
    cases = sum(int(found["count"]) for found in rows.values())
    bad = sum(len(found["bad"]) for found in rows.values())
    version = ".".join(map(str, sys.version_info[:2]))
    said = (
        f"{len(rows)} of {len(ROWS)} rows were run: {cases:,} cases, {bad} faults, with release "
        f"{disentangle_indicators.__version__} and Python {version}."
    )
    text = [HEAD.format(run=said)]
    for section in HEADINGS:
        text += lines(section, rows)
    text += ["## Faults that stand", "", *(f"- {fault}" for fault in OPEN), ""]
    return "\n".join(text)


def main() -> None:
    """Run what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run rows with this text in their name")
    parser.add_argument("--again", action="store_true", help="run rows that were run before too")
    parser.add_argument("--no-run", action="store_true", help="only write the page")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "reliability")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "reliability.md")
    options = parser.parse_args()
    kept = stored(options.folder)
    if options.again:
        for key in kept:
            if options.only in key:
                place(options.folder, key).unlink()
        kept = stored(options.folder)
    done = {key for key, found in kept.items() if found.get("complete", True)}
    keys = [key for key in ROWS if options.only in key and key not in done]
    if not options.no_run:
        run(options.folder, keys)
    options.page.write_text(page(stored(options.folder)))


if __name__ == "__main__":
    main()
