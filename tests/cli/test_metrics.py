"""dindic metrics: the list of metrics and protocols."""

import json

import pytest
from cli_helpers import flat

from disentangle_indicators.supervised import METRICS


def test_all_metrics_are_listed(dindic):
    result = dindic("metrics")
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert {name for name in METRICS if [name] in [line[:1] for line in lines]} == set(METRICS)
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_one_metric_in_full(dindic):
    text = flat(dindic("metrics", "mig", "sap@ubisoft").stdout)
    for name in ("mig", "sap"):
        metric = METRICS[name]
        assert f"{name}: {metric.title}" in text
        assert all(protocol in text for protocol in metric.protocols)
        assert all(flat(source) in text for source in metric.sources.values())
    assert "dci:" not in text


def test_json_holds_every_parameter(dindic):
    content = json.loads(dindic("metrics", "--json", "-").stdout, parse_constant=pytest.fail)
    assert content["schema"] == "dindic.listing/1"
    assert list(content["metrics"]) == list(METRICS)
    for name, metric in METRICS.items():
        protocols = content["metrics"][name]["protocols"]
        assert {p: list(found["parameters"]) for p, found in protocols.items()} == {
            p: list(parameters) for p, parameters in metric.protocols.items()
        }
    assert content["provenance"]["call"] == "dindic metrics --json -"
    assert list(json.loads(dindic("metrics", "sap", "--json", "-").stdout)["metrics"]) == ["sap"]


def test_files_are_written(dindic, folder):
    result = dindic("metrics", "sap", "--json", "sap.json", "--markdown", "sap.md", "--quiet")
    assert result.output == ""
    assert list(json.loads((folder / "sap.json").read_text())["metrics"]) == ["sap"]
    assert "sap" in (folder / "sap.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["migg", "mig@nobody", "MIG", ""])
def test_names_that_do_not_exist(say, name):
    message = say("metrics", name)
    assert f"no metric is called {name!r}; there is " in message
