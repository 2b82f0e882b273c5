"""dindic score --metrics."""

import numpy as np
import pytest
from cli_helpers import METRICS, flat

from disentangle_indicators import score
from disentangle_indicators.supervised import MetricOptions


def test_metrics_are_in_the_table_and_the_json(dindic, numbers, known):
    text = flat(dindic("score", known, *METRICS).stdout)
    assert "Metrics of posterior means, the 2 of 4 latents that are used" in text
    assert "4 permutations and 20 halves" in text
    found = numbers(known, *METRICS)["metrics"]
    assert list(found["metrics"]) == ["mig@default", "sap@ubisoft"]
    for name, metric in found["metrics"].items():
        assert name in text
        assert f"{metric['value']:.3f}"[:4] in text
        assert metric["permutations"] == 4
        assert metric["parameters"]
    assert found["schema"] == "dindic.metrics/1"
    assert numbers(known)["metrics"] is None


def test_metrics_equal_the_library(numbers, known):
    options = MetricOptions(["mig", "sap@ubisoft"], permutations=4)
    with np.load(known) as file:
        card = score(**file, metrics=options, rng=0)
    expected = card.metrics.to_dict()
    del expected["provenance"]
    assert numbers(known, *METRICS)["metrics"] == expected
    other = numbers(known, *METRICS, "--seed", "1")["metrics"]["metrics"]["mig@default"]
    assert other["null"] != card.metrics.to_dict()["metrics"]["mig@default"]["null"]


def test_a_protocol_for_those_that_name_none(numbers, known):
    words = (
        "--metrics",
        "mig,mcc,sap@ubisoft",
        "--protocol",
        "locatello2019",
        "--permutations",
        "0",
    )
    found = numbers(known, *words)["metrics"]
    assert list(found["metrics"]) == ["mig@locatello2019", "mcc@default", "sap@ubisoft"]
    assert "without locatello2019, so by default: mcc" in found["notes"]


def test_codes_latents_and_kinds_reach_the_metrics(numbers, known):
    words = ("--codes", "sample", "--latents", "all", "--kinds", "shape=circular:4,size=ordinal")
    found = numbers(known, *METRICS, *words, "--factor-names", "shape,size")["metrics"]
    assert found["codes"] == "sample"
    assert found["latents"] == [0, 1, 2, 3]
    assert found["kinds"] == {"shape": "circular", "size": "ordinal"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metrics", "migg"), "no metric is called 'migg'; there is mig"),
        (("--metrics", "mig@locatello"), "there is mig@locatello2019"),
        (("--metrics", "mig", "--protocol", "nobody"), "no protocol is called 'nobody'; there is"),
        (("--metrics", ","), "',' contains no name"),
        (("--metrics", ""), "'' contains no name"),
        (("--metrics", "mig", "--permutations", "-1"), "--permutations"),
        (("--metrics", "mig", "--codes", "both"), "--codes"),
        (("--metrics", "mig", "--latents", "some"), "--latents"),
        (("--metrics", "mig", "--kinds", "shape"), "'shape' is not NAME=KIND,..."),
        (("--metrics", "mig", "--kinds", "=ordinal"), "is not NAME=KIND,..."),
        (("--metrics", "mig", "--kinds", "size=ordinal"), "no factor is called 'size'"),
        (("--metrics", "mig", "--kinds", "factor_0=square"), "must be one of categorical"),
        (("--protocol", "ubisoft"), "--protocol goes with --metrics"),
        (("--permutations", "5"), "--permutations goes with --metrics"),
        (("--codes", "mean"), "--codes goes with --metrics"),
        (("--latents", "all"), "--latents goes with --metrics"),
    ],
)
def test_bad_words_about_metrics(say, known, words, message):
    assert message in say("score", known, *words)


def test_metrics_need_factors(say, good):
    assert "good.npz: there are no ground-truth factors; add --factors KEY" in say(
        "score", good, "--metrics", "mig"
    )


def test_metrics_of_several_files_are_compared(dindic, numbers, npz, known):
    with np.load(known) as file:
        arrays = dict(file)
    npz("other.npz", **(arrays | {"mean": arrays["mean"][:, ::-1], "var": arrays["var"][:, ::-1]}))
    words = (known, "other.npz", *METRICS)
    text = flat(dindic("score", *words).stdout)
    assert "mig@default" in text
    assert "sap@ubisoft" in text
    cards = numbers(*words)["files"]
    both = [card["metrics"]["metrics"]["mig@default"]["value"] for card in cards]
    assert both[0] == pytest.approx(both[1], abs=1e-12)
    gate = ("--quiet", "--fail-if", "metrics.metrics.mig@default.value < 2")
    failed = dindic("score", *words, *gate, code=3).stderr
    assert failed.count("gate failed") == 2


def test_without_variances_metrics_see_the_means(dindic, npz, pair):
    npz("means.npz", mean=pair[0], factors=(pair[0][:, :2] > 0).astype(int))
    text = flat(dindic("score", "means.npz", *METRICS).stdout)
    assert "Metrics of posterior means" in text
    text = flat(dindic("score", "means.npz", *METRICS, "--codes", "sample").stdout)
    assert "Metrics left out: a sample needs the posterior variances" in text


@pytest.fixture
def collapsed(npz, pair):
    factors = np.clip(np.round(pair[0][:, :2] + 1.5), 0, 3).astype(int)
    return npz("collapsed.npz", mean=0 * pair[0], var=np.ones_like(pair[1]), factors=factors)


def test_a_collapsed_code_keeps_its_verdict(dindic, numbers, collapsed):
    text = flat(dindic("score", collapsed, *METRICS).stdout)
    assert "USED No latent is used: posterior collapse" in text
    assert "Metrics left out: no latent is used: of 4 latents none has" in text
    assert "--metrics all" not in text
    found = numbers(collapsed, *METRICS)
    assert found["metrics"] is None
    assert found["reasons"]["metrics"].startswith("no latent is used")


def test_a_collapsed_code_costs_the_other_files_nothing(dindic, numbers, known, collapsed):
    for files in ((known, collapsed), (collapsed, known)):
        text = flat(dindic("score", *files, *METRICS).stdout)
        assert "mig@default" in text
        assert "collapsed: metrics: none: no latent is used" in text
        metrics = {file["name"]: file["metrics"] for file in numbers(*files, *METRICS)["files"]}
        assert metrics[collapsed] is None
        assert list(metrics[known]["metrics"]) == ["mig@default", "sap@ubisoft"]


@pytest.mark.parametrize("what", ["labels", "factors"])
def test_constant_ground_truth_costs_no_other_section(dindic, numbers, npz, pair, known, what):
    """In a comparison the other file keeps its metrics, and each file its verdict."""
    path = npz("constant.npz", mean=pair[0], var=pair[1], **{what: np.ones(len(pair[0]), int)})
    text = flat(dindic("score", path, *METRICS).stdout)
    assert "USED" in text
    assert (
        "Metrics left out: factors must vary; each of the 1 columns holds a single value" in text
    )
    found = numbers(path, known, *METRICS)["files"]
    assert [file["metrics"] is None for file in found] == [True, False]
    assert found[0]["mutual_information"] == numbers(path)["mutual_information"]
    assert list(found[1]["metrics"]["metrics"]) == ["mig@default", "sap@ubisoft"]
