"""The JSON schema: it is that of the reports, and every field has a title, unit, direction, range."""

import math

import numpy as np
import pytest

from disentangle_indicators import score
from disentangle_indicators.comparison import compare
from disentangle_indicators.report import schema as schemas

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(60, 3)) * 0.9
VAR = np.full((60, 3), 0.19)


def everything():
    return score(
        MEAN,
        var=VAR,
        factors=(MEAN[:, :2] > 0) * 1,
        labels=np.arange(60) % 3,
        metrics="sap",
        certify=True,
        prior_mean=[0.1, 0.0, 0.0],
        name="a",
    )


REPORTS = {
    "everything": everything,
    "means": lambda: score(MEAN),
    "one sample": lambda: score(MEAN[:1], var=VAR[:1]),
    "saturated": lambda: score(MEAN, var=VAR * 1e-9),
    "clusters": lambda: score(MEAN, var=VAR, clusters=np.arange(60) // 6),
    "comparison": lambda: compare([score(MEAN, var=v, joint=False) for v in (VAR, VAR / 2)]),
}


def leaves(node, value, path=""):
    """Each field that is no object, with its value."""
    if value is None:
        return
    if isinstance(value, dict) and {"properties", "additionalProperties"} & set(node):
        for key, inner in value.items():
            own = node.get("properties", {}).get(key, node.get("additionalProperties"))
            assert isinstance(own, dict), f"{path}.{key} is not in the schema"
            yield from leaves(own, inner, f"{path}.{key}")
    elif isinstance(value, list) and "properties" in node.get("items", {}):
        for inner in value:
            yield from leaves(node["items"], inner, f"{path}[]")
    else:
        yield path, node, value


@pytest.mark.parametrize("kind", REPORTS)
def test_reports_have_their_schema_and_every_field_has_all_its_words(kind):
    jsonschema = pytest.importorskip("jsonschema")
    found = REPORTS[kind]().to_dict()
    made = schemas.schema(found["schema"])
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.Draft202012Validator(made).validate(found)
    for path, node, value in leaves(made, found):
        assert node["title"], path
        assert node["direction"] in ("", "lower bound", "upper bound", "range"), path
        numbers = np.array(value, dtype=object).ravel()
        numbers = [v for v in numbers if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if numbers and "type" in node:
            low, high = node["range"]
            assert min(numbers) >= (-math.inf if low is None else low - 1e-6), path
            assert max(numbers) <= (math.inf if high is None else high + 1e-6), path
            assert node["unit"] or path.rpartition(".")[2] in COUNTED, path


COUNTED = {"seed", "permutations", "halves", "curved", "n_iterations", "values"}


def test_a_field_that_is_unknown_is_refused():
    jsonschema = pytest.importorskip("jsonschema")
    found = everything().to_dict() | {"surprise": 1}
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(found, schemas.schema())


def test_every_field_stands_in_the_table():
    rows = {path: row for path, *row in schemas.field_table()}
    assert rows["kl_aggregate_prior"] == [
        "Definition 1 less Definition 2",
        "nats",
        "lower bound",
        "from 0",
    ]
    assert rows["joint.ranges.mutual_information.low"][2] == "lower bound"
    assert rows["metrics.metrics.NAME.p_value"][1:] == ["share", "", "0 to 1"]
    assert all(row[0] for row in rows.values())


def test_another_name_is_refused():
    with pytest.raises(ValueError, match=r"one of dindic.score/1, dindic.comparison/1; got 'x'"):
        schemas.schema("x")
