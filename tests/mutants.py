"""Break the numerical core in one place at a time, and see whether a test fails.

    make mutants                                    200 mutants, 20 CPU minutes and more
    .venv/bin/python tests/mutants.py --help        fewer, others, one file

A mutant has one comparison, sign, constant, extreme, axis or term changed. A seeded sample of all
mutants is drawn. Each runs, in a copy of the tree, tests that killed others of its file, then the nearest,
until one fails or the CPU seconds are spent. Spending them is no kill, unless one single test did, which
is listed. At the end the tests that killed are run on the unchanged tree, where they must pass.
`EQUIVALENT` lists those that change no promised number, each with its reason. Finished mutants are kept in
build/mutants, by the text of their file.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants_equivalent import EQUIVALENT

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "disentangle_indicators"
CORE = ("aggregate", "q_star", "supervised", "rotation", "moments.py", "standard_errors.py")
LEFT_OUT_VARIANTS = "torch", "array_api_strict"
"""Array namespaces whose variants of a test are left out: numpy's run the same lines."""

LAWS_OF_METRICS = "tests/supervised/test_common.py"
"""Laws of all metrics, of which a mutant of one metric runs the part with its name."""

HOUR = 3600.0
"""CPU seconds within which all tests that killed must pass on the unchanged tree."""

SPENT, ENDLESS, CRASHED, NO_TESTS = 75, 76, 77, 5
"""Exit statuses: out of CPU seconds, in one test alone, this script failed, and nothing collected."""

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "min": "max", "minimum": "maximum", "argmin": "argmax", "floor": "ceil", "any": "all",
    "expm1": "exp", "log1p": "log",
}  # fmt: skip
NAMES |= {other: name for name, other in NAMES.items()}
LEFT_OUT = ("annotation", "returns", "decorator_list", "defaults", "kw_defaults", "msg")
"""Fields of the syntax that do not compute."""


@dataclass(frozen=True)
class Mutant:
    """One change: the file, the line, the source of the line's statement before and after."""

    file: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file, self.before, self.after


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of an expression."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            for other in COMPARISONS[type(op)]:
                yield ast.Compare(new.left, [other()], new.comparators)
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
            if isinstance(op, (ast.Add, ast.Sub)):
                yield left
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1 if isinstance(value, int) else 2 * value or 1.0)
        case ast.Name(id="min" | "max" | "any" | "all" as name, ctx=ast.Load()):
            yield ast.Name(NAMES[name], ast.Load())
        case ast.Attribute(attr=name) if name in NAMES:
            yield ast.Attribute(new.value, NAMES[name], ast.Load())
        case ast.keyword(arg="axis", value=ast.Constant(0 | 1 as axis)):
            yield ast.keyword("axis", ast.Constant(1 - axis))
        case ast.keyword(arg="ddof", value=ast.Constant(1)):
            yield ast.keyword("ddof", ast.Constant(0))
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "abs":
        yield new.args[0]


def places(node: ast.AST, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to all expressions that compute: no text, type, message or progress."""
    for name, value in ast.iter_fields(node):
        if name in LEFT_OUT:
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.Raise, ast.JoinedStr)):
                continue
            here = (*path, (name, i))
            yield here
            yield from places(child, here)


def follow(tree: ast.AST, path: tuple[Any, ...]) -> Any:
    for name, i in path:
        tree = getattr(tree, name) if i is None else getattr(tree, name)[i]
    return tree


def put(tree: ast.AST, path: tuple[Any, ...], new: ast.AST) -> None:
    name, i = path[-1]
    parent = follow(tree, path[:-1])
    if i is None:
        setattr(parent, name, new)
    else:
        getattr(parent, name)[i] = new


def statement(tree: ast.AST, path: tuple[Any, ...]) -> str:
    """Return the innermost statement of a place, its first lines if it holds others."""
    ends = [k for k in range(len(path) + 1) if isinstance(follow(tree, path[:k]), ast.stmt)]
    if not ends:
        return ""
    text = ast.unparse(follow(tree, path[: ends[-1]]))
    return next(line for line in text.splitlines() if not line.startswith("@"))


def places_of(file: str) -> list[tuple[str, tuple[Any, ...], int]]:
    """Return all mutants of one file in the order of its places: file, place, number there."""
    tree = ast.parse((ROOT / file).read_text())
    return [
        (file, path, k)
        for path in places(tree)
        for k, _ in enumerate(changes(follow(tree, path)))
        if not axis_number(tree, path)
    ]


def axis_number(tree: ast.AST, path: tuple[Any, ...]) -> bool:
    """Return whether a place is the number of an axis, which only its keyword may change."""
    outer = follow(tree, path[:-1])
    return isinstance(outer, ast.keyword) and outer.arg in ("axis", "ddof")


def made(file: str, path: tuple[Any, ...], number: int) -> Mutant:
    """Return one mutant of a file."""
    tree = ast.parse((ROOT / file).read_text())
    node = follow(tree, path)
    before = statement(tree, path)
    line = getattr(node, "lineno", None) or node.value.lineno
    put(tree, path, list(changes(node))[number])
    source = ast.unparse(ast.fix_missing_locations(tree))
    return Mutant(file, line, before, statement(tree, path), source)


def files() -> list[str]:
    core = [ROOT / PACKAGE / part for part in CORE]
    found = [p for part in core for p in (sorted(part.glob("*.py")) if part.is_dir() else [part])]
    return [str(p.relative_to(ROOT)) for p in found]


def nearest(file: str) -> list[str]:
    """Return the tests of a module: its examples, those of its name, those that name it, others."""
    path = Path(file)
    stem = path.stem.strip("_").replace("init", path.parent.name)
    own = ROOT / "tests" / (path.parent.name if path.parent.name != PACKAGE else "")
    places: dict[Path, float] = {}
    for test in sorted({*own.glob("test_*.py"), *(ROOT / "tests").glob("test_*.py")}):
        count = test.read_text().count(stem)
        near = 2 * (stem in test.stem) + 2 * (test.parent == own != ROOT / "tests")
        if near or count:
            places[test] = -9 if test.stem == f"test_{stem}" else -near - min(count, 99) / 100
    tests = sorted(places, key=lambda test: places[test])
    return [file, *(str(test.relative_to(ROOT)) for test in tests)]


class Budget:
    """Stop when the CPU seconds are spent, and write down the test that fails or never ends."""

    def __init__(self, seconds: float, report: Path) -> None:
        self.seconds, self.report = seconds, report
        self.started, self.test = 0.0, ""
        signal.signal(signal.SIGPROF, self.stop)
        signal.setitimer(signal.ITIMER_PROF, seconds)

    def note(self, test: str) -> None:
        with self.report.open("a") as file:
            file.write(f"{test}\n")

    def stop(self, *_: Any) -> None:
        alone = time.process_time() - self.started
        self.note(self.test)
        os._exit(ENDLESS if self.test and alone > 0.7 * self.seconds else SPENT)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.started, self.test = time.process_time(), nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.note(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.note(report.nodeid)

    def pytest_collection_modifyitems(self) -> None:
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]  # not the smallest example
        settings.register_profile("mutants", settings.get_profile("ci"), phases=phases)
        settings.load_profile("mutants")


def try_mutant(folder: Path, mutant: Mutant, seconds: float, first: list[str]) -> tuple[str, str]:
    """Return killed, endless, survived, or spent (not finished), and the test that killed."""
    path, report = folder / mutant.file, folder.parent / "killer"
    original = path.read_text()
    path.write_text(mutant.source)
    report.write_text("")
    tests = [*first, *nearest(mutant.file)]
    status = in_child(lambda: run_tests(folder, tests, Budget(seconds, report)))
    path.write_text(original)
    names = {0: "survived", NO_TESTS: "survived", SPENT: "spent", ENDLESS: "endless"}
    return names.get(status, "killed"), report.read_text().split("\n")[0]


def in_child(run: Callable[[], int]) -> int:
    """Return the exit status of a function that runs in a child."""
    child = os.fork()
    if not child:
        code = CRASHED
        try:
            code = run()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == CRASHED:
        raise RuntimeError("the tests could not be run")
    return status


def run_tests(folder: Path, tests: list[str], budget: Budget, at_once: bool = False) -> int:
    """Run tests in the copy of the tree, until one fails or all at once; return pytest's status."""
    import pytest

    os.chdir(folder)
    sys.path[:0] = [str(folder), str(folder / "cli"), str(folder / "reference_models")]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:3])
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    variants = " and ".join(f"not {name}" for name in LEFT_OUT_VARIANTS)
    args = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
    if at_once:
        return int(pytest.main([*args[1:], *tests], [budget]))
    for test in tests:
        chosen = [variants]
        if test == LAWS_OF_METRICS and (name := metric_of(tests)):
            chosen.append(name)
        status = int(pytest.main([*args, "-k", " and ".join(chosen), test], [budget]))
        if status not in (0, NO_TESTS):
            return status
    return 0


def metric_of(tests: list[str]) -> str:
    """Return the name of the metric whose examples are among the tests."""
    files = [Path(test) for test in tests if test.startswith(f"{PACKAGE}/supervised/")]
    return "".join(path.stem for path in files if "METRIC = " in path.read_text())


def wrong_killers(folder: Path, killers: dict[str, Any]) -> set[str]:
    """Return the tests that fail without any mutant: what they killed does not count."""
    report = folder.parent / "killer"
    report.write_text("")
    tests = sorted(filter(None, killers))
    if not tests:
        return set()
    in_child(lambda: run_tests(folder, tests, Budget(HOUR, report), at_once=True))
    return {*report.read_text().splitlines()}


def preload() -> None:
    """Import what every test needs once, before the children branch off; not the package."""
    for name in (
        "pytest", "hypothesis", "hypothesis.extra.numpy", "numpy", "scipy.stats", "scipy.optimize",
        "scipy.sparse", "scipy.special", "sklearn.linear_model", "sklearn.metrics", "sklearn.svm",
        "sklearn.ensemble", "pandas", "mpmath", "array_api_strict", "torch", "matplotlib.pyplot",
    ):  # fmt: skip
        with suppress(ImportError):
            __import__(name)


def copied(folder: Path) -> Path:
    """Copy the tracked files of the tree."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    shutil.rmtree(folder, ignore_errors=True)
    for name in filter(None, tracked):
        if (ROOT / name).exists() and not name.endswith(".safetensors"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--number", type=int, default=200, help="mutants of the sample")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--seconds", type=float, default=20, help="CPU seconds of tests a mutant")
    parser.add_argument("--only", default="", help="part of the names of the files")
    parser.add_argument("--first", nargs="*", default=[], help="tests to run before all others")
    parser.add_argument("--again", action="store_true", help="try survivors once more")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "ci", "MPLBACKEND": "agg"}
    work = ROOT / "build" / "mutants"
    folder = copied(work / "tree")
    preload()
    population = [place for file in files() if asked.only in file for place in places_of(file)]
    drawn = random.Random(asked.seed).sample(population, min(asked.number, len(population)))
    print(f"{len(drawn)} of {len(population)} mutants, seed {asked.seed}", flush=True)
    results = work / f"seed-{asked.seed}.json"
    known: dict[str, tuple[str, str]] = json.loads(results.read_text()) if results.exists() else {}
    counts: dict[str, int] = defaultdict(int)
    killers: dict[str, list[int]] = defaultdict(list)
    killed_here: dict[str, list[str]] = defaultdict(list)  # tried first on mutants of that file
    for k, mutant in enumerate((made(*place) for place in drawn), 1):
        name = hashlib.sha256(f"{mutant.key} {mutant.source}".encode()).hexdigest()[:16]
        status, test = (
            ("equivalent", "") if mutant.key in EQUIVALENT else known.get(name, ("", ""))
        )
        if not status or (asked.again and status in ("survived", "spent")):
            first = [*asked.first, *reversed(killed_here[mutant.file][-4:])]
            status, test = known[name] = try_mutant(folder, mutant, asked.seconds, first)
            results.write_text(json.dumps(known))
        counts[status] += 1
        if status in ("killed", "endless"):
            killers[test].append(k)
            killed_here[mutant.file] = [t for t in killed_here[mutant.file] if t != test] + [test]
        if status in ("survived", "spent", "endless"):
            print(f"{k}: {status}: {mutant.file}:{mutant.line} {test}")
            print(f"    {mutant.before}\n -> {mutant.after}", flush=True)
    wrong = {test: killers[test] for test in wrong_killers(folder, killers) & {*killers}}
    print(
        "".join(f"{test} fails without a mutant: {of} not killed\n" for test, of in wrong.items())
    )
    killed = counts["killed"] + counts["endless"] - sum(map(len, wrong.values()))
    real = len(drawn) - counts["equivalent"]
    print(f"{dict(counts)}: {killed} of {real} mutants that are not equivalent were killed "
          f"({killed / max(real, 1):.1%})")  # fmt: skip


if __name__ == "__main__":
    main()
