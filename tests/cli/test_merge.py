"""dindic score --state and dindic merge: one report of many shards."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

N = 3000


@pytest.fixture
def shards(npz):
    """Three files of a data set, and one with all its rows."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(N, 3)) * [0.9, 0.5, 0.0]
    var = np.array([0.19, 0.75, 1.0]) * np.exp(0.2 * rng.normal(size=mean.shape))
    npz("whole.npz", mean=mean, var=var)
    cuts = ((0, 500), (500, 1700), (1700, N))
    return [npz(f"part-{k}.npz", mean=mean[a:b], var=var[a:b]) for k, (a, b) in enumerate(cuts)]


@pytest.fixture
def states(dindic, shards):
    for k, shard in enumerate(shards):
        dindic("score", shard, "--state", f"{k}.npz", "--quiet")
    return [f"{k}.npz" for k in range(len(shards))]


def test_three_shards_are_scored_like_one_file(dindic, states):
    found = json.loads(dindic("merge", *states, "--json", "-").stdout)
    whole = json.loads(dindic("score", "whole.npz", "--json", "-").stdout)
    for name in ("kl_posterior_prior", "mutual_information", "kl_aggregate_prior"):
        assert found[name] == pytest.approx(whole[name], rel=1e-12)
    assert found["marginals"]["total_information"] == pytest.approx(
        whole["marginals"]["total_information"], abs=1e-6
    )
    assert found["verdict"]["USED"] == whole["verdict"]["USED"]
    assert [each["name"] for each in found["provenance"]["inputs"]] == [
        f"part-{k}.npz" for k in range(3)
    ]


def test_order_and_patterns_change_no_byte(dindic, states):
    dindic("merge", *states, "-o", "a.npz", "--quiet")
    dindic("merge", *states[::-1], "-o", "b.npz", "--quiet")
    dindic("merge", "[0-9].npz", "-o", "c.npz", "--quiet")
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes() == Path("c.npz").read_bytes()
    dindic("merge", *states[:2], "-o", "d.npz", "--quiet")
    one, two = (
        dindic("merge", *names, "--csv", "-").stdout for names in (["d.npz", "2.npz"], states)
    )
    assert [line[:20] for line in one.splitlines()] == [line[:20] for line in two.splitlines()]


def test_the_report_of_a_shard_is_printed(dindic, shards):
    result = dindic("score", shards[0], "--state", "0.npz")
    assert "sums over 500 rows of 3 latents, of 1 part" in result.stdout
    assert "written: 0.npz" in result.stderr


def test_it_says_where_the_joint_is(dindic, shards):
    where = "Joint left out: dindic merge makes it, from 4,096 rows of all states"
    assert where in " ".join(dindic("score", shards[0], "--state", "0.npz").stdout.split())
    assert "Joint" not in dindic("score", shards[0], "--state", "0.npz", "--no-joint").stdout


def test_the_state_of_a_pattern_has_a_part_for_each_file(dindic, npz, states):
    """So that a file that is in it already is refused; a file without rows is passed over."""
    dindic("merge", *states, "-o", "merged.npz", "--quiet")
    dindic("score", "part-*.npz", "--state", "pattern.npz", "--quiet")
    assert Path("pattern.npz").read_bytes() == Path("merged.npz").read_bytes()
    npz("part-9.npz", mean=np.zeros((0, 3)), var=np.zeros((0, 3)))
    found = dindic("score", "part-*.npz", "--state", "pattern.npz").stdout
    assert "sums over 3000 rows of 3 latents, of 3 parts" in found
    result = dindic("merge", "pattern.npz", "1.npz", code=2)
    assert "rows 0 to 1199 of part-1.npz would count twice" in result.stderr
    alone = dindic("score", "part-9.npz", "--state", "9.npz", code=2).stderr
    assert "leave such a file out" in " ".join(alone.split())
    assert not Path("9.npz").exists()


def test_rows_that_count_twice_in_another_order_are_doubted(dindic, npz, states):
    with np.load("part-1.npz") as part:
        npz("turned.npz", **{name: part[name][::-1] for name in part})
    dindic("score", "turned.npz", "--state", "turned-state.npz", "--quiet")
    found = " ".join(dindic("merge", *states, "turned-state.npz").stdout.split())
    assert "CHECK Of the rows that are kept," in found
    assert "a shard was summed up twice" in found
    assert "CHECK" not in dindic("merge", *states).stdout


def test_a_list_says_what_is_missing(dindic, states):
    Path("list.txt").write_text("part-0.npz\npart-1.npz\n\npart-2.npz\n")
    dindic("merge", *states, "--of", "list.txt")
    Path("rows.txt").write_text(
        f"# rows\n./part-0.npz 500\npart-1.npz 1200 {'0' * 64}\npart-2.npz\n"
    )
    dindic("merge", *states, "--of", "rows.txt")
    Path("whole.txt").write_text(f"{Path('part-0.npz').resolve()}\npart-1.npz\npart-2.npz\n")
    dindic("merge", *states, "--of", "whole.txt")
    result = dindic("merge", *states[:2], "--of", "list.txt", code=2)
    assert "missing: part-2.npz" in result.stderr
    Path("empty.txt").write_text("\n \n")
    refused = dindic("merge", *states, "--of", "empty.txt", code=2).stderr
    assert "empty.txt is empty: name every shard in it, one a line" in refused


def test_a_list_in_a_folder_is_read_as_score_reads_it(dindic, shards):
    Path("data").mkdir()
    Path("data/list.txt").write_text("part-0.npz 500\npart-1.npz 1200\n")
    for shard in shards[:2]:
        Path(shard).rename(f"data/{shard}")
    dindic("score", "data/list.txt", "--state", "sums.npz")
    result = dindic("merge", "sums.npz", "--of", "data/list.txt")
    assert "sums over 1700 rows" in result.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("merge 0.npz 0.npz", "0.npz is given twice: leave one out"),
        (
            "merge part-0.npz",
            "part-0.npz holds no summary; dindic score FILE --state OUT.npz makes",
        ),
        ("merge .", ". is a folder; its files are: dindic merge './*.npz'"),
        ("merge nowhere-*.npz", "there is no file that matches nowhere-*.npz"),
        ("score [01].npz", "0.npz holds sums over rows, not rows: dindic merge FILE prints its"),
        ("merge nowhere.npz", "no such file: nowhere.npz"),
        ("merge 0.npz -o part-0.npz", "which holds no sums: choose another name, or delete it"),
        ("merge 0.npz -o whole.txt", "--output whole.txt: the name must end with .npz"),
        (
            "score part-0.npz --state whole.npz",
            "which holds no sums: choose another name, or delete",
        ),
        ("merge 0.npz --of nowhere.txt", "no such file: nowhere.txt"),
        ("merge 0.npz -o 0.npz", "--output 0.npz would overwrite an input"),
        ("score 0.npz", "dindic merge FILE prints its report"),
        ("score part-0.npz --state part-0.npz", "--state part-0.npz would overwrite an input"),
        (
            "score part-0.npz part-1.npz --state x.npz",
            "--state goes with one FILE, or with a pattern",
        ),
        ("score part-0.npz --metrics mig --state x.npz", "to which --metrics does not apply"),
        ("score part-0.npz --by labels --state x.npz", "to which --by does not apply"),
        ("score part-0.npz --joint --state x.npz", "to which --joint does not apply"),
        ("score part-0.npz --points 100 --state x.npz", "to which --points does not apply"),
        ("score part-0.npz --seed 0 --state x.npz", "to which --seed does not apply"),
        (
            "score part-0.npz --no-covariance --state x.npz",
            "to which --no-covariance does not apply",
        ),
        (
            "score part-0.npz --labels a --dask local",
            "--dask keeps sums over rows, to which --labels",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused(dindic, states, line, words):
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    result = dindic(*line.split(), code=2)
    assert words in " ".join(result.stderr.split())
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_clusters_of_shards_are_those_of_one_file(dindic, npz):
    rng = np.random.default_rng(0)
    donor = np.arange(900) // 30
    mean = rng.normal(size=(900, 2)) + rng.normal(size=(30, 2))[donor]
    arrays = {"mean": mean, "var": np.full((900, 2), 0.2), "donor": donor}
    npz("whole.npz", **arrays)
    for name, rows in (("0", slice(0, 300)), ("1", slice(300, 900)), ("2", slice(290, 300))):
        npz(f"part-{name}.npz", **{key: array[rows] for key, array in arrays.items()})
        dindic("score", f"part-{name}.npz", "--clusters", "donor", "--state", f"{name}.npz")
    found = json.loads(dindic("merge", "0.npz", "1.npz", "--json", "-").stdout)
    of = ("--clusters", "donor", "--no-marginals", "--json", "-")
    for file in ("whole.npz", "part-[01].npz"):
        whole = json.loads(dindic("score", file, *of).stdout)
        assert found["n_clusters"] == whole["n_clusters"] == 30
        assert found["standard_errors"]["mutual_information"] == pytest.approx(
            whole["standard_errors"]["mutual_information"], rel=1e-9
        )
    result = dindic("merge", "1.npz", "2.npz", "0.npz", code=2)
    assert "cluster '9' is cut" in result.stderr


def test_a_state_that_cannot_be_written_is_an_error(dindic, shards):
    result = dindic("score", shards[0], "--state", "nowhere/0.npz", code=1)
    assert "there is no folder" in result.stderr


@pytest.mark.slow
def test_dask_gives_the_bits_of_states_that_are_merged(dindic, states):
    """By two processes, as they start on a user's machine."""
    pytest.importorskip("distributed", reason="distributed is not installed: --dask is NOT tested")
    dindic("merge", *states, "-o", "merged.npz", "--quiet")
    line = ("score", "part-*.npz", "--dask", "local", "--state", "dask.npz", "--json", "-")
    result = dindic(*line)
    assert Path("dask.npz").read_bytes() == Path("merged.npz").read_bytes()
    assert "3 files, on " in result.stderr
    found, merged = json.loads(result.stdout), dindic("merge", *states, "--json", "-").stdout
    for name, value in json.loads(merged).items():
        assert found[name] == value or name == "provenance"


@pytest.mark.slow
def test_dask_prints_an_error_once_and_without_a_traceback(npz):
    pytest.importorskip("distributed", reason="distributed is not installed: --dask is NOT tested")
    for k in range(2):
        arrays = {"mean": np.eye(4) + k, "var": np.full((4, 4), 0.1), "donor": np.arange(4)}
        npz(f"part-{k}.npz", **arrays)
    Path("run.py").write_text("from dindic import main\nif __name__ == '__main__':\n    main()\n")
    line = [
        sys.executable,
        "run.py",
        "score",
        "part-*.npz",
        "--clusters",
        "donor",
        "--dask",
        "local",
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("is cut") == 1
    assert "Traceback" not in done.stderr


def test_dask_reads_files_as_the_options_describe_them(dindic, npz, states, monkeypatch):
    """With a cluster that runs already, here in threads of this process."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    npz("other.npz", a=np.zeros((5, 2)), b=np.ones((5, 2)))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        of = ("--dask", cluster.scheduler_address, "--json", "-", "--no-joint")
        whole = json.loads(dindic("score", "part-*.npz", *of).stdout)
        keys = ("--mean-key", "a", "--scale-key", "b", "--scale", "var")
        one = json.loads(dindic("score", "other.npz", *keys, *of).stdout)
        result = dindic("score", "other.npz", *of, code=2)
        steps = []
        monkeypatch.setattr(
            "dindic.by_dask.progress",
            lambda names, what, total: (
                steps.append((name, what, total)) or name for name in names
            ),
        )
        dindic("score", "part-*.npz", *of)
    assert sorted(steps) == [(f"part-{k}.npz", "files", 3) for k in range(3)]
    assert (whole["n"], whole["joint"], one["n"]) == (N, None, 5)
    assert "other.npz" in result.stderr
    assert "--mean-key" in result.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "score part-0.npz part-1.npz --dask local",
            "--dask goes with one FILE, or with a pattern in quotes",
        ),
        ("score part-0.npz --metrics mig --dask local", "to which --metrics does not apply"),
        ("score --mean a.npy --var b.npy --dask local", "--dask goes with FILE, not with --mean"),
        ("score nowhere-*.npz --dask local", "there is no file that matches nowhere-*.npz"),
    ],
)
def test_what_dask_cannot_sum_up_is_refused(dindic, shards, line, words):
    pytest.importorskip("distributed", reason="distributed is not installed")
    assert words in " ".join(dindic(*line.split(), code=2).stderr.split())


def test_without_dask_the_line_that_installs_it_is_printed(dindic, shards, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = dindic("score", shards[0], "--dask", "local", code=1)
    assert "pip install 'disentangle-indicators[dask]'" in result.stderr


def test_a_scheduler_without_workers_is_not_waited_for(dindic, states, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr("dindic.by_dask.WAIT", 0.1)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        result = dindic("score", "part-*.npz", "--dask", cluster.scheduler_address, code=1)
    assert f"Start a worker with: dask worker {cluster.scheduler_address}" in result.stderr
