"""The JSON schema of reports, made from the classes of results and their docstrings."""

import re
from dataclasses import fields
from inspect import getdoc
from typing import Any

from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators._result import Result
from disentangle_indicators._scorecard_result import PARTS, Scorecard
from disentangle_indicators.aggregate import Certificate, Joint, Marginals
from disentangle_indicators.aggregate._joint_result import ENDS as ESTIMATED
from disentangle_indicators.aggregate._joint_result import RANGES
from disentangle_indicators.comparison import Comparison
from disentangle_indicators.registry import COUNTS, INDICATORS
from disentangle_indicators.report._fields import ENDS, MEASURES, TITLES
from disentangle_indicators.report._reading import Reading, of_count, of_indicator
from disentangle_indicators.supervised import Channel, MetricScore, Scores
from disentangle_indicators.theorems import Finding, IntrinsicDimension, Theorems
from disentangle_indicators.unsupervised import CodeScores

__all__ = ["SCHEMAS", "field_table", "schema"]

PART: dict[str, type[Result]] = {
    "marginals": Marginals,
    "joint": Joint,
    "certificate": Certificate,
    "metrics": Scores,
    "channel": Channel,
    "unsupervised": CodeScores,
    "theorems": Theorems,
}
"""The class of each section of a scorecard."""


def schema(name: str = "dindic.score/1") -> dict[str, Any]:
    """Return the JSON schema of a report: every field with title, unit, direction and range.

    Parameters
    ----------
    name : {"dindic.score/1", "dindic.comparison/1"}
        What the report has under ``schema``.

    Returns
    -------
    dict
        JSON Schema 2020-12. ``unit``, ``direction`` and ``range`` are annotations. A number that
        is not finite is null.

    Raises
    ------
    ValueError
        On another name.

    Examples
    --------
    >>> schema()["properties"]["mutual_information"]["direction"]
    'upper bound'
    """
    if name not in SCHEMAS:
        raise ValueError(f"name must be one of {', '.join(SCHEMAS)}; got {name!r}")
    made = _scorecard() if name == Scorecard.schema else _comparison()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{name}"}
    return head | made


SCHEMAS = (Scorecard.schema, Comparison.schema)
"""The reports that have a schema."""


def field_table(name: str = "dindic.score/1") -> list[tuple[str, str, str, str, str]]:
    """Return path, title, unit, direction and range of every field that is no object."""
    rows: list[tuple[str, str, str, str, str]] = []

    def walk(node: dict[str, Any], path: str) -> None:
        inner = dict(node.get("properties", {}))
        if isinstance(node.get("additionalProperties"), dict):
            inner["NAME"] = node["additionalProperties"]
        if isinstance(node.get("items"), dict) and "properties" in node["items"]:
            inner = {"[]": node["items"]}
        if not inner and path:
            low, high = node["range"] or (None, None)
            words = "" if node["range"] is None else Reading("", low=low, high=high).range
            rows.append((path, node["title"], node["unit"], node["direction"], words))
        for key, value in inner.items():
            walk(value, f"{path}.{key}" if path else key)

    walk(schema(name), "")
    return rows


def _leaf(title: str, kind: Any, name: str = "", reading: Reading | None = None) -> dict[str, Any]:
    """Return a field that is no object; numbers are nats from 0 unless told otherwise."""
    node: dict[str, Any] = {"title": title, "unit": "", "direction": "", "range": None} | kind
    if not _is_numeric(kind):
        return node
    unit, low, high = MEASURES.get(name, ("nats", 0.0, None))
    direction = ENDS.get(name.rpartition("_")[2], "")
    if reading is not None:
        unit, low, high, direction = reading.unit, reading.low, reading.high, reading.direction
    return node | {"unit": unit, "direction": direction, "range": [low, high]}


def _is_numeric(kind: dict[str, Any]) -> bool:
    if "items" in kind:
        return _is_numeric(kind["items"])
    types = kind.get("type", ())
    return bool({"number", "integer"} & set([types] if isinstance(types, str) else types))


NUMBER = {"type": ["number", "null"]}
INTEGER = {"type": ["integer", "null"]}
TEXT = {"type": ["string", "null"]}
TRUTH = {"type": ["boolean", "null"]}


def _kind(annotation: Any) -> dict[str, Any]:
    """Return the JSON type of an annotation."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    text = str(annotation) if not text or "[" in str(annotation) else text
    text = text.replace(" | None", "")
    simple = {"float": NUMBER, "int": INTEGER, "str": TEXT, "bool": TRUTH}
    if text in simple:
        return simple[text]
    if "ndarray" in text:
        either = {"type": ["number", "null", "array"]}
        array = {"type": ["array", "null"], "items": either}
        return (
            {"type": ["array", "number", "null"], "items": either} if "float |" in text else array
        )
    if text.startswith("tuple["):
        inner = text[6:-1].split(",")[0].strip()
        return {"type": "array", "items": simple.get(inner, {})}
    return {}


def _object(properties: dict[str, Any], title: str, *, null: bool = False) -> dict[str, Any]:
    return {
        "title": title,
        "type": ["object", "null"] if null else "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _named(title: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose keys are names."""
    return {"title": title, "type": ["object", "null"], "additionalProperties": value}


LEFT_OUT = {
    Scores: ("provenance", "marginals", "metrics"),
    Joint: ("provenance", "marginals", "narrowed", *ESTIMATED),
}
"""Fields of a class that its JSON is without, or that are described apart."""


def _of_class(cls: type[Result]) -> dict[str, Any]:
    """Return the fields of a class of results, with what its docstring says of each."""
    words, found = _described(cls), {"schema": _leaf("schema of this part", TEXT)}
    for field in fields(cls):
        if field.name in LEFT_OUT.get(cls, ("provenance", "marginals")):
            continue
        found[field.name] = _field(field.name, _title(field.name, words), field.type)
        if cls is MetricScore and field.name in ("low", "high"):
            found[field.name]["unit"], found[field.name]["range"] = "score", [None, None]
    return found


def _title(name: str, words: dict[str, str]) -> str:
    return TITLES.get(name) or words.get(name) or name.replace("_", " ")


def _field(name: str, title: str, annotation: Any) -> dict[str, Any]:
    text = str(annotation)
    if name in ("standard_errors", "population_errors") and "ndarray" not in text:
        either = {"type": ["number", "null", "array"]}
        return _named(title, _leaf("standard error of the number of that name", either, name))
    if text.startswith("dict[str, float"):
        return _named(title, _leaf(title, NUMBER, name))
    if text.startswith("dict[str, str"):
        return _named(title, _leaf(title, TEXT))
    if text.startswith("dict["):
        return _named(title, _leaf(title, {}))
    kinds = {"saturated": {"type": ["array", "boolean", "null"]}, "overstated": {"type": "array"}}
    kind = kinds.get(name) or _kind(annotation)
    return _leaf(title, kind, name)


def _described(cls: type) -> dict[str, str]:
    """Return the first sentence on each parameter in a docstring of numpydoc."""
    text = getdoc(cls) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n\w[\w ]*\n-{3,}|\Z)", text, flags=re.DOTALL)
    found: dict[str, str] = {}
    if section is None:
        return found
    entries = re.findall(
        r"^(\S.*?) : .*\n((?:(?: .*)?\n?)*)", section[1] + "\n", flags=re.MULTILINE
    )
    for names, words in entries:
        sentence = " ".join(words.split())
        sentence = re.split(r"(?<=[a-z)`])[.:] ", sentence)[0].rstrip(".").replace("`", "")
        found |= {name.strip(): sentence for name in names.split(",")}
    return found


def _indicators() -> dict[str, Any]:
    """Return the fields of the indicators, the counts and everything beside them."""
    words = _described(Indicators)
    properties: dict[str, Any] = {
        name: _leaf(text, TEXT)
        for name, text in (
            ("schema", "name and version of this schema"),
            ("unit", "unit of the indicators"),
            ("estimator", "how the indicators are computed"),
            ("error", "what standard errors are"),
        )
    }
    for name, indicator in INDICATORS.items():
        kind = {"type": ["array", "null"], "items": NUMBER} if indicator.per_latent else NUMBER
        properties[name] = _leaf(indicator.title, kind, name, of_indicator(indicator))
    for name, count in COUNTS.items():
        properties[name] = _leaf(count.title, INTEGER, name, of_count(count))
    left_out = ("provenance", "values", "counts", "q_star", "moments")
    for field in fields(Indicators):
        if field.name not in left_out:
            properties[field.name] = _field(field.name, _title(field.name, words), field.type)
    solver = {"family": TEXT, "method": TEXT, "converged": TRUTH, "n_iterations": INTEGER}
    inner = {name: _leaf(_title(name, {}), kind, name) for name, kind in solver.items()}
    inner["residual"] = _leaf("residual of the solver", NUMBER, "residual")
    properties["q_star"] = _object(inner, "how q* was found", null=True)
    return properties


def _scorecard() -> dict[str, Any]:
    words = _described(Scorecard)
    means = {k: v for k, v in _of_class(MeansOnly).items() if k != "schema"}
    properties = means | _indicators()
    properties |= {name: _leaf(_title(name, {}), TEXT) for name in ("name", "source")}
    properties["verdict"] = _named(
        "sentences under CHECK, USED, PRIOR, TRUST, DO", _leaf("sentence", TEXT)
    )
    ends = {
        "low": _leaf("lower end", NUMBER, "low"),
        "high": _leaf("upper end", NUMBER, "high"),
    }
    titles = {
        "total": "KL(q(z) || p)",
        "marginals": "sum of KL(q(z_h) || p)",
        "dependence": "total correlation of q(z)",
    }
    spans = {name: _object(ends, title) for name, title in titles.items()}
    properties["distance"] = _object(spans, "distance of q(z) from the prior", null=True)
    properties["reasons"] = _named(words["reasons"], _leaf("reason", TEXT))
    for name in PARTS:
        properties[name] = _object(_of_class(PART[name]), f"section: {name}", null=True)
    each = _object(_of_class(MetricScore), "one metric")
    properties["metrics"]["properties"]["metrics"] = _named("scores by metric@protocol", each)
    rows = {
        name: _leaf(f"{name.replace('_', ' ')} of these rows", NUMBER, name) for name in RANGES
    }
    more = properties["joint"]["properties"]
    more["of_rows"] = _object(rows, "values of these rows, also where they are saturated")
    more["error"] = _leaf("what standard errors are", TEXT)
    spans = {name: _object(ends, name.replace("_", " ")) for name in RANGES}
    rest = {
        end: _leaf(title, NUMBER, f"rest_{end}")
        for end, title in (("low", "lower end"), ("high", "upper end"))
    }
    spans["other_dependence"] = _object(rest, "total correlation less correlation")
    more["ranges"] = _object(spans, "ranges for the population, as printed")
    more = properties["theorems"]["properties"]
    more["findings"] = {
        "title": "findings on the assumptions of each theorem",
        "type": "array",
        "items": _object(_of_class(Finding), "finding"),
    }
    dimension = _object(_of_class(IntrinsicDimension), "intrinsic dimension")
    more["dimensions"] = _named("intrinsic dimension of means, samples and a control", dimension)
    more["counts"] = _named("latents of each kind", _leaf("number of latents", INTEGER))
    factor = {"name": TEXT, "kind": TEXT, "values": INTEGER, "missing": INTEGER}
    inner = {name: _leaf(f"{name} of the factor", kind, name) for name, kind in factor.items()}
    properties["factors"] = {
        "title": words["factors"],
        "type": "array",
        "items": _object(inner, "factor"),
    }
    properties["notes"] = _leaf("notes", {"type": "array", "items": TEXT})
    properties["metadata"] = _named("metadata of the file", _leaf("value", TEXT))
    properties["provenance"] = _provenance()
    return _object(properties, "report of one encoder") | {
        "required": ["schema", "name", "n", "d"]
    }


def _comparison() -> dict[str, Any]:
    known = {
        "of": _leaf("name of the encoder", TEXT),
        "to": _leaf("name of the reference", TEXT),
        "metrics": _named(
            "differences by metric@protocol",
            _object(
                {
                    "difference": _leaf("difference of the scores", NUMBER, "value"),
                    "standard_error": _leaf("its standard error", NUMBER, "standard_error"),
                },
                "difference",
            ),
        ),
    }
    for name, indicator in INDICATORS.items():
        if indicator.compared and indicator.weights is not None:
            change = Reading(indicator.title, indicator.unit, None, None)
            error = Reading(indicator.title, indicator.unit)
            known[name] = _leaf(f"difference: {indicator.title}", NUMBER, name, change)
            known[f"{name}_se"] = _leaf(f"standard error: {indicator.title}", NUMBER, name, error)
    properties = {
        "schema": _leaf("name and version of this schema", TEXT),
        "paired": _leaf("whether differences are taken row by row", TRUTH),
        "reference": _leaf("name of the encoder that others are compared with", TEXT),
        "files": {"title": "report of each encoder", "type": "array", "items": _scorecard()},
        "differences": {
            "title": "each encoder less the reference",
            "type": "array",
            "items": _object(known, "differences of an encoder"),
        },
        "provenance": _provenance(),
    }
    return _object(properties, "report of several encoders")


def _provenance() -> dict[str, Any]:
    inner = {
        "package": _leaf("package", TEXT),
        "version": _leaf("version of the package", TEXT),
        "call": _leaf("function or command line", TEXT),
        "inputs": {
            "title": "inputs",
            "type": "array",
            "items": _object(
                {
                    "name": _leaf("name of the input", TEXT),
                    "sha256": _leaf("hash of the file", TEXT),
                },
                "input",
            ),
        },
        "parameters": _named("options that numbers depend on", _leaf("value of the option", {})),
        "seed": _leaf("seed of everything that is drawn", INTEGER, "seed"),
    }
    return _object(inner, "what it takes to compute the report once more", null=True)
