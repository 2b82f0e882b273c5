"""dindic score of several files side by side."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import flat


def test_several_files_side_by_side(dindic, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    text = dindic("score", good, other).stdout
    assert "80 rows and 4 latents each" in flat(text)
    assert re.search(r"^ good +\d+ ", text, re.MULTILINE)
    assert re.search(r"^ other +\d+ ", text, re.MULTILINE)
    assert (
        "each row minus encoder 'good'; ± one standard error, as of independent samples"
        in flat(text)
    )
    assert "can be paired" in flat(text)


def test_paired(dindic, numbers, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    apart, paired = numbers(good, other), numbers(good, other, "--paired")
    assert (apart["paired"], paired["paired"]) == (False, True)
    a, b = apart["differences"][0], paired["differences"][0]
    assert a["mutual_information"] == b["mutual_information"]
    assert b["mutual_information_se"] < 0.5 * a["mutual_information_se"]
    assert "paired over rows" in flat(dindic("score", good, other, "--paired").stdout)


@pytest.mark.parametrize("kind", ["labels", "factors"])
def test_the_same_labels_or_factors_make_a_pair(numbers, npz, pair, kind):
    column = np.random.default_rng(1).permutation(80)
    arrays = [column, column, column[::-1]]
    for i, values in enumerate(arrays):
        npz(f"{i}.npz", mean=pair[0] + i, var=pair[1], **{kind: values})
    npz("3.npz", mean=pair[0], var=pair[1])
    npz("4.npz", mean=pair[0][:40], var=pair[1][:40], **{kind: column[:40]})
    assert numbers("0.npz", "1.npz")["paired"] is True
    assert [numbers("0.npz", f"{i}.npz")["paired"] for i in (2, 3, 4)] == [False] * 3
    assert numbers("0.npz", "1.npz", "2.npz")["paired"] is False


@pytest.mark.parametrize("classes", [1, 5])
def test_labels_that_are_all_alike_or_sorted_do_not_make_a_pair(numbers, npz, pair, classes):
    labels = np.arange(80) * classes // 80
    for i in range(2):
        npz(f"{i}.npz", mean=pair[0][:: 1 - 2 * i], var=pair[1], labels=labels)
    assert numbers("0.npz", "1.npz")["paired"] is False


def test_the_same_file_twice_differs_by_exactly_nothing(numbers, good):
    (difference,) = numbers(good, good, "--paired")["differences"]
    assert (difference.pop("of"), difference.pop("to")) == (good, good)
    assert difference.pop("metrics") == {}
    assert set(difference.values()) == {0.0}


def test_pairs_of_different_length(say, npz, good, pair):
    other = npz("other.npz", mean=pair[0][:70], var=pair[1][:70])
    message = say("score", good, other, "--paired")
    assert "same rows" in message
    assert "80, 70" in message


def test_means_only_beside_a_whole_file(dindic, numbers, npz, good, pair):
    other = npz("other.npz", mean=pair[0])
    text = dindic("score", good, other).stdout
    assert re.search(r"^ good +[\d. -]+", text, re.MULTILINE)
    assert re.search(r"^ other +3? *- +", text, re.MULTILINE)
    assert "'other' (means only)" in flat(text)
    found = numbers(good, other)
    assert found["differences"] == [{"of": "other.npz", "to": "good.npz", "metrics": {}}]
    assert [file["name"] for file in found["files"]] == ["good.npz", "other.npz"]


def test_comparisons_as_csv_and_plot(dindic, good):
    rows = list(csv.DictReader(io.StringIO(dindic("score", good, good, "--csv", "-").stdout)))
    assert [row["name"] for row in rows] == ["good.npz"] * 2
    dindic("score", good, good, "--quiet", "--plot", "two.png")
    dindic("score", good, "--quiet", "--plot", "one.png")
    from matplotlib.image import imread

    assert imread("two.png").shape[0] == 2 * imread("one.png").shape[0]


@pytest.mark.parametrize("name", ["[/d]", "[bold]", "a[b"])
def test_file_names_with_brackets(dindic, npz, good, pair, name):
    Path(name).mkdir(parents=True)
    other = npz(f"{name}/good.npz", mean=pair[0], var=pair[1])
    text = flat(dindic("score", other, good).stdout)
    assert text.count(f"{name}/good") >= 3


def test_pairs_made_by_labels_are_said_and_can_be_refused(dindic, numbers, npz, pair):
    labels = np.random.default_rng(0).permutation(np.arange(80) % 5)
    for i in range(2):
        npz(f"{i}.npz", mean=pair[0], var=pair[1] * (1 + i), labels=labels)
    assert "--no-paired" in dindic("score", "0.npz", "1.npz").stderr
    assert numbers("0.npz", "1.npz")["paired"] is True
    assert numbers("0.npz", "1.npz", "--no-paired")["paired"] is False


@pytest.mark.parametrize("flag", ["--paired", "--no-paired"])
def test_one_file_cannot_be_paired(dindic, good, flag):
    done = dindic("score", good, flag, code=2)
    assert "--paired goes with two files or more: dindic score a.npz b.npz --paired" in flat(
        done.stderr
    )


def test_saved_reports_and_encodings_are_compared(dindic, numbers, say, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    for name in ("good", "other"):
        dindic("score", f"{name}.npz", "--quiet", "--json", f"{name}.json")
    fresh = numbers(good, other, "--no-paired")
    for files in (("good.json", "other.json"), ("good.json", other)):
        saved = numbers(*files)
        named = {"of": files[1], "to": files[0]}
        assert saved["differences"] == [fresh["differences"][0] | named]
    assert "no rows to be paired" in say("compare", "good.json", "other.json", "--paired")
    assert "give several" in say("score", "good.json")
    assert "not saved reports" in say("score", "good.json", "other.json", "--plot", "x.png")
    Path("list.json").write_text("[]")
    assert "a report of dindic.score/1 is needed" in say("score", good, "list.json")


def test_order_and_reference_can_be_named(dindic, say, npz, good, pair):
    other = npz("other.npz", mean=pair[0] * 1.1, var=pair[1])
    options = ("--sort", "kl_posterior_prior", "--reference", "other")
    text = dindic("compare", other, good, *options).stdout
    names = re.findall(r"^ (good|other) +\d+ ", text, re.MULTILINE)
    assert names[:2] == ["good", "other"]  # other means are larger, and so is the rate
    assert "each row minus encoder 'other'; " in flat(text)
    assert "--sort must be one of distance, used" in say("compare", good, other, "--sort", "beta")
    assert "--reference must be one of" in say("compare", good, other, "--reference", "x")
    assert "two files or more" in say("score", good, "--sort", "used")


def test_groups_of_the_rows_of_one_file(dindic, say, npz, pair):
    split = np.repeat(["train", "test"], 40)
    path = npz(mean=pair[0], var=pair[1], split=split, labels=np.arange(80) % 3)
    text = dindic("score", path, "--by", "split").stdout
    assert re.findall(r"^ (test|train) +\d+ ", text, re.MULTILINE)[:2] == ["test", "train"]
    assert "40 rows and 4 latents each" in flat(text)
    assert re.search(r"^ 2 +26 +", dindic("score", path, "--by", "labels").stdout, re.MULTILINE)
    assert "neither a key nor a file" in say("score", path, "--by", "donor")
    assert "give one" in say("score", path, path, "--by", "split")


def test_parts_of_one_data_set_are_asked_about(dindic, npz, pair):
    files = [npz(f"v2-part-{i}.npz", mean=pair[0][i::2], var=pair[1][i::2]) for i in range(2)]
    note = "if they are parts of one data set: dindic score"
    done = dindic("score", *files, "--no-marginals")
    assert note in flat(done.stderr)
    assert "v2-part-*.npz'" in done.stderr
    assert note in flat(dindic("compare", *files, "--no-marginals").stderr)
    labels = np.random.default_rng(0).permutation(np.arange(80) % 3)
    seeds = [npz(f"seed-{i}.npz", mean=pair[0] + i, var=pair[1], labels=labels) for i in range(2)]
    assert note not in flat(dindic("score", *seeds, "--no-marginals").stderr)
    other = npz("other.npz", mean=pair[0], var=pair[1])
    assert note not in flat(dindic("score", files[0], other, "--no-marginals").stderr)
