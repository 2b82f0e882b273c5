"""The command line as a whole, mostly in processes of its own."""

import os
import shlex
import stat
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import click
import pytest

from dindic import main
from disentangle_indicators import (
    Encodings,
    Summary,
    rotation,
    score,
    scorecard,
    write_encodings,
)
from disentangle_indicators.states import USED
from disentangle_indicators.supervised import MetricOptions

COMMANDS = sorted(main.commands)
TRAINED = ("bundle", "encode", "traverse", "train", "study")
"""Commands whose examples take a trained model, or long: those are parsed here, and not run."""
needs_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX shells and permissions")


def pipe(line):
    """Run a line of bash and return the exit codes of the pipe, its output and stderr."""
    script = f'{line}; echo "codes ${{PIPESTATUS[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    output, _, codes = done.stdout.rpartition("codes ")
    return [int(code) for code in codes.split()], output, done.stderr


def program(*words):
    return shlex.join([sys.executable, "-m", "dindic", *map(str, words)])


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command(dindic, flag):
    text = dindic(flag).stdout
    models = ["bundle", "encode", "models", "study", "train", "traverse"]
    metrics = ["audit", "check", "higgins-law", "metrics"]
    assert (
        sorted(
            [
                *models,
                *metrics,
                "axes",
                "cite",
                "compare",
                "convert",
                "match",
                "merge",
                "score",
                "theorems",
            ]
        )
        == COMMANDS
    )
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "dindic score encodings.npz" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_explains_every_option_and_gives_examples(dindic, name):
    text = dindic(name, "--help").stdout
    assert f"\n    dindic {name} " in text
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in text


def test_help_shows_every_summary_whole_in_80_columns(shell):
    text = shell("--help", COLUMNS="80").stdout
    assert max(map(len, text.splitlines())) <= 80
    listed = text.partition("Commands:")[2].strip().splitlines()
    assert len(listed) == len(COMMANDS)
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


MEANINGS = {
    "seed": "Random seed.",
    "threshold": "Least information of a used latent, in nats.",
    "json": "Write JSON; - for standard output.",
    "quiet": "Print no messages and no table; files are still written.",
    "device": "cpu, cuda or cuda:1; auto takes a GPU if there is one.",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_means_one_thing(name):
    for option in main.commands[name].params:
        if option.name in MEANINGS and (name, option.name) != ("train", "seed"):
            assert option.help == MEANINGS[option.name]
        if option.name in ("seed", "threshold") and name != "train":
            assert (option.default, option.show_default) == (
                {"seed": 0, "threshold": USED}[option.name],
                True,
            )
        if option.name == "latents" and name != "train":
            assert list(option.type.choices) == ["used", "all"]
        if option.name == "codes":
            assert list(option.type.choices) == ["mean", "sample"]
        if option.name == "images":
            assert isinstance(option.type, click.IntRange)


def test_defaults_are_those_of_the_library():
    def default(function, name):
        return signature(function).parameters[name].default

    defaults = {
        command: {option.name: option.default for option in main.commands[command].params}
        for command in COMMANDS
    }
    assert defaults["score"]["points"] == scorecard.POINTS
    assert defaults["score"]["permutations"] == MetricOptions().permutations
    assert defaults["audit"]["rotations"] == default(rotation.audit_rotations, "rotations")
    assert defaults["higgins-law"]["rotations"] == default(rotation.higgins_law, "rotations")
    assert defaults["higgins-law"]["pairs"] == default(rotation.higgins_law, "pairs")


def test_old_spellings_work_and_are_hidden(dindic):
    for command, old in {
        "score": ["--cluster", "--null"],
        "audit": ["--subspace", "--cluster"],
        "axes": ["--subspace"],
        "match": ["--subspace"],
        "encode": ["--limit"],
        "traverse": ["--seed-images"],
    }.items():
        text = dindic(command, "--help").stdout
        parser = main.commands[command].make_parser(click.Context(main.commands[command]))
        for word in old:
            assert f"{word} " not in text
            assert word in parser._long_opt


def test_version(dindic):
    assert version("disentangle-indicators") in dindic("--version").stdout


def test_version_of_a_source_tree_that_is_not_installed():
    code = "import importlib.metadata as m; m.Distribution.discover = lambda **_: []; "
    code += "from dindic import main; main(['--version'])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert done.stdout == f"dindic, version {version('disentangle-indicators')}\n", done.stderr


def test_no_command_shows_the_help(shell):
    done = shell()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Commands:" in done.stderr


@pytest.mark.parametrize("words", [["bogus"], ["score", "--bogus"], ["convert", "a", "b", "c"]])
def test_words_that_mean_nothing(say, words):
    message = say(*words)
    assert words[-1] in message
    assert "for help." in message


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_run(dindic, npz, pair, folder, name):
    import numpy as np

    mean, var = pair
    grid = np.arange(len(mean))[:, None] // [1, 4] % 4
    factors = np.random.default_rng(0).permutation(grid)  # an order that shows which rows they are
    for file in ("encodings.npz", "a.npz", "b.npz"):
        npz(file, mean=mean, var=var, factors=factors)
    npz("run.npz", mean=mean, sigma=np.sqrt(var))
    Path("report.json").write_text(score(mean, var=var).to_json())
    Path("runs.csv").write_text("file,beta\na.npz,1\nb.npz,4\n")
    np.save("mu.npy", mean)
    np.save("lv.npy", np.log(var))
    np.save("factors.npy", factors)
    for file, table in (("means.csv", mean), ("variances.csv", var)):
        np.savetxt(file, table, delimiter=",", header="0,1,2,3", comments="")
    lines = [line.strip() for line in dindic(name, "--help").stdout.splitlines()]
    if name == "convert":
        pytest.importorskip("h5py", reason="h5py is not installed: examples are NOT run")
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: examples are NOT run")
        names = ["cell_type", "batch"]
        write_encodings("cells.h5ad", mean, var=var, factors=factors, factor_names=names)
    if name == "merge":
        for k, rows in enumerate((slice(0, 30), slice(30, None))):
            part = Encodings.of(mean[rows], var[rows])
            Summary.of(part, name=f"part-00{k}.parquet").save(f"00{k}.npz")
        Path("shards.txt").write_text("part-000.parquet\npart-001.parquet\n")
    if name == "models":
        pytest.importorskip("torch", reason="torch is not installed: dindic models is NOT tested")
    examples = [line for line in lines if line.startswith(f"dindic {name} ")]
    assert len(examples) >= 3
    for example in examples:
        _, _, *words = shlex.split(example)
        if name in TRAINED:
            main.commands[name].make_context(name, words)
        else:
            dindic(name, *words)


@needs_posix
def test_the_installed_program_is_the_module(shell, good):
    script = Path(sysconfig.get_path("scripts")) / "dindic"
    words = [script, "score", good]
    env = dict(os.environ)  # as for the module: readline sets COLUMNS behind the back of Python
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0
    assert done.stdout == shell("score", good).stdout


def test_results_on_stdout_and_messages_on_stderr(shell, good):
    done = shell("score", good, "--csv", "out.csv")
    assert done.returncode == 0
    assert done.stdout.startswith("good.npz\n")
    assert done.stderr == "written: out.csv\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["score", "good.npz", "--quiet"], 0),
        (["score", "good.npz", "--quiet", "--json", "a folder"], 2),
        (["score", "good.npz", "--quiet", "--json", "no folder/a.json"], 1),
        (["score", "missing.npz"], 2),
        (["score", "good.npz", "--quiet", "--fail-if", "n > 1"], 3),
    ],
)
def test_exit_codes_of_the_process(shell, good, words, code):
    Path("a folder").mkdir()
    done = shell(*words)
    assert done.returncode == code
    assert done.stdout == ""
    assert bool(done.stderr) == (code > 0)
    assert "Traceback" not in done.stderr


@needs_posix
@pytest.mark.parametrize("form", [[], ["--json", "-"], ["--csv", "-"], ["--markdown", "-"]])
def test_a_pipe_closed_after_one_line_is_no_accident(good, form):
    codes, output, errors = pipe(f"{program('score', good, *form)} | head -1")
    assert codes[0] in (0, 1, 141)
    assert len(output.splitlines()) == 1
    assert errors == ""


@needs_posix
def test_a_pipe_closed_before_the_first_line_still_gets_the_files_written(good):
    _, _, errors = pipe(f"{program('score', good, '--csv', 'out.csv')} | true")
    assert "Traceback" not in errors
    assert Path("out.csv").is_file()


@needs_posix
def test_a_full_disk_is_a_failure_that_says_so(good):
    if not Path("/dev/full").is_char_device():
        pytest.skip("no /dev/full")
    codes, _, errors = pipe(f"{program('score', good, '--json', '-')} > /dev/full")
    assert codes == [1]
    assert "No space left on device" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_terminals_that_lack_a_sign(shell, good, encoding):
    done = shell("score", good, text=False, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr.decode()
    assert b"USED" in done.stdout
    assert b"q(z) is " in done.stdout


@needs_posix
def test_a_named_pipe_is_written_to_and_not_replaced(dindic, good):
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        dindic("score", good, "--quiet", "--markdown", "pipe")
        assert stat.S_ISFIFO(os.stat("pipe").st_mode)
        assert b"**USED**" in os.read(reader, 1 << 16)
    finally:
        os.close(reader)


@needs_posix
@pytest.mark.parametrize("flag", ["--json", "--latex", "--plot"])
def test_a_named_pipe_that_nobody_reads_is_refused(dindic, good, flag):
    os.mkfifo("pipe.png")
    refused = dindic("score", good, "--no-joint", "--quiet", flag, "pipe.png", code=1).stderr
    assert "cannot write: [Errno 6] no process reads this pipe: 'pipe.png'" in refused


def test_colours_stay_out_of_files(shell, good):
    assert "\x1b" not in shell("score", good).stdout


def test_no_trailing_spaces(shell, good):
    lines = shell("score", good).stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(
    "words",
    [
        ["models"],
        ["encode", "beta10", "-o", "a.npz"],
        ["traverse", "beta10", "-o", "a.png"],
        ["train", "mnist", "--data", "mnist", "-o", "run"],
        ["study", "mnist", "--data", "mnist", "-o", "study"],
    ],
)
def test_a_command_that_needs_torch_says_so(folder, words):
    code = f"import sys; sys.modules['torch'] = None; from dindic import main; main({words})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert " ".join(done.stderr.split()) == (
        "Error: this command needs torch: pip install 'disentangle-indicators[models]'"
    )
