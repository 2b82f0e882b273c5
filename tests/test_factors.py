"""The one parser of factors: what it accepts, and that files, scores and metrics follow it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disentangle_indicators import read_encodings, score
from disentangle_indicators.encodings import write_encodings
from disentangle_indicators.factors import TRUTH, Factors, as_column, as_table
from disentangle_indicators.rotation import audit_rotations
from disentangle_indicators.supervised import METRICS, MetricOptions, evaluate_metrics, measure

SORTS = {
    "number": st.sampled_from([0, 1, 2.5, -3.0]),
    "text": st.sampled_from(["a", "b", "long word"]),
    "truth": st.booleans(),
}
MISSING = {"number": [None, float("nan"), pd.NA], "text": ["", None, pd.NA], "truth": [None]}
LISTS = {
    "list": lambda columns: [list(row) for row in zip(*columns, strict=True)],
    "objects": lambda columns: np.array(list(zip(*columns, strict=True)), dtype=object),
    "frame": lambda columns: pd.DataFrame({f"factor_{i}": c for i, c in enumerate(columns)}),
    "nullable": lambda columns: pd.DataFrame(
        {f"factor_{i}": c for i, c in enumerate(columns)}
    ).convert_dtypes(),
}


@st.composite
def columns(draw, infinite=False):
    """Columns of Python values of one sort each, with missing values, and their sorts."""
    n = draw(st.integers(4, 12))
    sorts = draw(st.lists(st.sampled_from(sorted(SORTS)), min_size=1, max_size=3))
    found = []
    for sort in sorts:
        value = SORTS[sort]
        missing = st.sampled_from(MISSING[sort])
        column = draw(st.lists(st.one_of(value, value, missing), min_size=n, max_size=n))
        column[0] = draw(value)
        found.append(column)
    if infinite:
        found[0][-1] = float("inf")
        found[0] = [x if isinstance(x, float) else 1.0 for x in found[0]]
    return found, sorts


def is_missing(value):
    return value is None or value is pd.NA or value == "" or value != value  # noqa: PLR0124


@given(columns())
def test_every_container_gives_the_same_factors(drawn):
    values, sorts = drawn
    n = len(values[0])
    found = {name: as_table(make(values), n) for name, make in LISTS.items()}
    first = found["list"]
    for name, table in found.items():
        np.testing.assert_array_equal(table.values, first.values, err_msg=name)
        assert (table.classes, table.kinds, table.names) == (
            first.classes, first.kinds, first.names,
        )  # fmt: skip
    for k, (column, sort) in enumerate(zip(values, sorts, strict=True)):
        missing = np.array([is_missing(value) for value in column])
        np.testing.assert_array_equal(np.isnan(first.values[:, k]), missing)
        present = {value for value in column if not is_missing(value)}
        described = first.describe()[k]
        assert described["missing"] == missing.sum()
        assert described["values"] == len(present)
        if sort == "text":
            assert first.classes[k] == tuple(sorted(present))
            back = ["" if is_missing(value) else value for value in column]
            assert first.column(k).tolist() == back
        elif sort == "truth":
            assert first.classes[k] == TRUTH
            assert first.column(k).tolist() == column
        else:
            assert first.classes[k] is None
            np.testing.assert_array_equal(first.column(k), first.values[:, k])
        assert (first.levels(k) == -1).tolist() == missing.tolist()


@given(columns())
def test_the_array_of_factors_gives_them_again(drawn):
    values, _ = drawn
    table = as_table(LISTS["list"](values), len(values[0]))
    again = as_table(table.to_array(), len(table))
    np.testing.assert_array_equal(again.values, table.values)
    assert again.classes == table.classes


def outcome(function):
    """The message of the refusal, or None."""
    try:
        function()
    except ValueError as error:
        return str(error).partition(": ")[2] if ".npz" in str(error) else str(error)
    return None


def entries(tmp_path):
    """The entry points of factors: means beside factors and names."""

    def write(codes, factors):
        write_encodings(tmp_path / "a.npz", codes, factors=factors)
        read_encodings(tmp_path / "a.npz")

    return {
        "write": write,
        "metric": lambda z, f: measure(METRICS["mig"], z, f),
        "evaluate": lambda z, f: evaluate_metrics(
            "mig", z, f, permutations=1, halves=0, latents="all"
        ),
        "score": lambda z, f: score(
            z, factors=f, metrics=MetricOptions("mig", permutations=1, latents="all")
        ),
        "audit": lambda z, f: audit_rotations(
            "mig", z, f, latents="all", rotations=2, search=False, rng=0
        ),
    }


ENTRIES = ["write", "metric", "evaluate", "score", "audit"]


@pytest.mark.parametrize("container", ["list", "objects"])
@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_accepts_what_the_parser_accepts(tmp_path, name, container):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(12, 3))
    entry = entries(tmp_path)[name]

    @settings(
        max_examples=8, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(columns())
    def law(drawn):
        values, _ = drawn
        factors = LISTS[container](values)
        n = len(values[0])
        if as_table(factors, n).varying:
            entry(codes[:n], factors)

    law()


REFUSED = {
    "infinite": ([0.5, np.inf, 1.0], r"factors must be finite or nan; factor_0[1] = inf"),
    "infinite object": ([None, -np.inf, 1.0], "factors must be finite or nan; factor_0[1] = -inf"),
    "both": (
        ["a", 1.0, 2.0],
        "a column must not hold both text and numbers; factor_0[0] = 'a' and factor_0[1] = 1.0",
    ),
    "complex": (
        np.ones(3, dtype=complex),
        "factors must be numbers or text; factor_0 has the dtype complex128",
    ),
    "dicts": ([{}, {}, {}], "factors must be numbers or text; factor_0[0] is a dict"),
    "rows": ([1.0, 2.0], "factors must have the shape (3, K); the shape is (2, 1)"),
    "axes": (np.ones((3, 1, 1)), "factors must have the shape (3, K); the shape is (3, 1, 1)"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", ["parser", *ENTRIES])
def test_every_entry_refuses_with_the_same_words(tmp_path, name, case):
    factors, words = REFUSED[case]
    functions = entries(tmp_path) | {"parser": lambda z, f: as_table(f, len(z))}
    codes = np.random.default_rng(0).normal(size=(3, 2))
    assert outcome(lambda: functions[name](codes, factors)) == words
    assert list(tmp_path.iterdir()) == []


def test_categories_keep_their_order():
    sizes = pd.Categorical(["m", "s", None], ["s", "m", "l"], ordered=True)
    table = as_table(pd.DataFrame({"size": sizes, "other": pd.Categorical([3, 1, 1])}), 3)
    assert table.classes == (("s", "m", "l"), ("1", "3"))
    assert table.kinds == ("ordinal", "categorical")
    np.testing.assert_array_equal(table.values, [[1, 1], [0, 0], [np.nan, 0]])
    assert table.column(0).tolist() == ["m", "s", ""]
    assert table.describe()[0] == {"name": "size", "kind": "ordinal", "values": 2, "missing": 1}
    circular = as_table(pd.DataFrame({"size": sizes}), 3, kinds={"size": "circular:3"})
    assert circular.kinds == ("circular",)
    empty = as_table(pd.Series(pd.Categorical(["", "a"])), 2)
    assert (empty.classes, empty.names) == ((("a",),), ("factor_0",))


def test_factors_are_taken_as_they_are_but_for_names_and_kinds():
    table = as_table([["a", 1], ["b", 2]], 2, names=["x", "y"])
    assert as_table(table, 2) is table
    renamed = as_table(table, 2, names=["u", "v"], kinds={"v": "continuous"})
    assert (renamed.names, renamed.kinds) == (("u", "v"), ("categorical", "continuous"))
    assert renamed.classes == table.classes
    assert table.take(np.array([1])).classes == table.select([0, 1]).classes == table.classes
    assert table.select([1]).classes == (None,)
    with pytest.raises(ValueError, match="x holds text, so it can only be categorical"):
        as_table(table, 2, kinds={"x": "ordinal"})
    truth = as_table(as_table([True, False], 2), 2, kinds=["ordinal"])
    assert truth.kinds == ("ordinal",)
    with pytest.raises(ValueError, match="factors must have 3 rows; they have 2"):
        as_table(table, 3)


def test_factors_of_numbers_have_no_classes():
    plain = Factors(np.zeros((2, 1)), ("ordinal",), ("a",), (np.nan,))
    assert plain.classes == (None,)
    assert plain.column(0).dtype == np.int64
    assert as_table([1.5, 2], 2).column(0).tolist() == [1.5, 2]
    with pytest.raises(ValueError, match=r"factors must be finite or nan; factor_0\[0\] = inf"):
        as_table([10**400, 1], 2)
    assert as_table(np.array([b"b", b"", b"a"]), 3).classes == (("a", "b"),)
    assert as_table([None, None], 2).describe()[0]["missing"] == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], [1, 2]),
        (np.array([[1.5], [2]]), [1.5, 2]),
        (pd.Series(["a", None]), ["a", ""]),
        (pd.Series([1, None], dtype="Int64"), [1, np.nan]),
        ([True, False], [True, False]),
        ([None, "b"], ["", "b"]),
    ],
)
def test_labels(values, expected):
    found = as_column(values, 2, "labels")
    assert found.shape == (2,)
    assert found.dtype != object
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1], r"labels must have the shape \(2,\); the shape is \(1,\)"),
        (np.ones((2, 2)), r"labels must have the shape \(2,\); the shape is \(2, 2\)"),
        ([1.0, np.inf], r"labels must be finite or nan; labels\[1\] = inf"),
        ([{}, {}], r"labels must be numbers or text; labels\[0\] is a dict"),
    ],
)
def test_labels_that_are_none(values, words):
    with pytest.raises(ValueError, match=words):
        as_column(values, 2, "labels")
