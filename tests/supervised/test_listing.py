"""The tables of metrics and protocols."""

import json
from pathlib import Path

import pytest

from disentangle_indicators._result import plain
from disentangle_indicators.supervised import METRICS, choose, find, score_of
from disentangle_indicators.supervised.listing import Listing, explained

PAGES = Path(__file__).parents[2] / "docs" / "metrics"
CASES = [(name, protocol) for name in METRICS for protocol in METRICS[name].protocols]


def flat(text):
    return " ".join(text.split())


def test_one_line_for_each_metric():
    text = repr(Listing(METRICS))
    for name, metric in METRICS.items():
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert metric.title.split()[0] in line
        low, high = metric.range()
        assert f" {low:g} to {high:g} " in line
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", METRICS)
def test_in_full_every_protocol_with_its_parameters_and_source(name):
    metric = METRICS[name]
    result = Listing({name: metric}, full=True)
    text = flat(repr(result))
    assert text.startswith(f"{name}: {metric.title} ")
    assert metric.reading[1:] in text
    assert "None" not in text
    assert ":func:" not in text
    words = explained(metric)
    named = [name for names in words for name in names.replace(" and ", ", ").split(", ")]
    assert set(named) == set(metric.parameters())
    for names, explanation in words.items():
        assert flat(f"{names} {explanation}") in text
    for protocol, parameters in metric.protocols.items():
        assert protocol in text
        assert flat(metric.sources[protocol]) in text
        assert all(parameter in result.to_markdown() for parameter in parameters)


def test_every_metric_has_its_page_and_nothing_else_has_one():
    assert {path.stem for path in PAGES.glob("*.md")} == set(METRICS)
    overview = (PAGES.parent / "supervised_metrics.md").read_text("utf-8")
    for name, metric in METRICS.items():
        text = (PAGES / f"{name}.md").read_text("utf-8")
        assert text.startswith(f"# {metric.title} ({name})\n")
        assert f"{{include}} ../generated/metrics/{name}.md" in text
        assert f"metrics/{name}\n" in overview


def test_json_is_strict_and_holds_all_parameters():
    content = json.loads(Listing(METRICS).to_json(), parse_constant=pytest.fail)
    assert content["schema"] == "dindic.listing/1"
    assert list(content["metrics"]) == list(METRICS)
    for name, protocol in CASES:
        metric, found = METRICS[name], content["metrics"][name]
        assert found["protocols"][protocol] == {
            "parameters": plain(metric.protocols[protocol]),
            "source": metric.sources[protocol],
            "range": plain([*metric.range(protocol)]),
            "refits": protocol in metric.refits,
        }
        assert found["choices"] == plain(metric.choices)
        assert found["higher_is_better"] is metric.higher_is_better
        assert found["title"] == metric.title
    sap = content["metrics"]["sap"]["protocols"]
    assert [protocol for protocol in sap if sap[protocol]["refits"]] == ["locatello2019"]
    rmig = content["metrics"]["rmig"]["protocols"]
    assert [found["range"] for found in rmig.values()] == [[0, None], [0, 1], [0, 1]]


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_every_protocol_is_found_by_name(name, protocol):
    assert find(f"{name}@{protocol}") == (METRICS[name], protocol)
    assert find(name) == (METRICS[name], "default")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("migg", "no metric is called 'migg'; there is mig"),
        ("MIG", "no metric is called 'MIG'; there is mig"),
        ("mig@", "no metric is called 'mig@'; there is mig"),
        ("mig@locatello", "no metric is called 'mig@locatello'; there is mig@locatello2019"),
        ("zzzzzz", "no metric is called 'zzzzzz'; there is higgins, factor_vae"),
        ("", "no metric is called ''; there is higgins, factor_vae"),
    ],
)
def test_names_that_do_not_exist_list_near_ones(name, message):
    with pytest.raises(ValueError, match=message):
        find(name)


def test_a_protocol_is_taken_where_it_exists():
    chosen, notes = choose("all", "locatello2019")
    assert len(chosen) == len(METRICS)
    assert "mig@locatello2019" in chosen
    assert "mcc@default" in chosen
    (note,) = notes
    assert note.startswith("without locatello2019, so by default: ")
    assert "mcc" in note
    assert choose(["mig", "mig", "sap@ubisoft"]) == (
        {"mig@default": find("mig"), "sap@ubisoft": find("sap@ubisoft")},
        (),
    )
    assert choose("mig@ubisoft", "locatello2019") == ({"mig@ubisoft": find("mig@ubisoft")}, ())


@pytest.mark.parametrize(
    ("names", "protocol", "message"),
    [
        (["mig", "sap"], "nobody2099", "no protocol is called 'nobody2099'; there is default, lo"),
        ("all", "nobody2099", "no protocol is called 'nobody2099'; there is default"),
        ([], None, "no metric is named; there is higgins"),
        (["mig", "migg"], None, "no metric is called 'migg'"),
    ],
)
def test_choices_that_are_none_are_refused(names, protocol, message):
    with pytest.raises(ValueError, match=message):
        choose(names, protocol)


def test_a_score_by_name():
    table = [[0, 0], [0, 1], [1, 0], [1, 1]] * 3
    assert score_of("mig", table, table) == pytest.approx(1)
    assert score_of("sap@locatello2019-continuous", table, table) == pytest.approx(1)
