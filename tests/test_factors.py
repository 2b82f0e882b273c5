"""The one parser of factors: what it accepts, and that files, scores and metrics follow it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disentangle_indicators import read_encodings, score
from disentangle_indicators._factor_kinds import sentinel
from disentangle_indicators.encodings import write_encodings
from disentangle_indicators.factors import TRUTH, Factors, as_column, as_table
from disentangle_indicators.rotation import audit_rotations
from disentangle_indicators.supervised import METRICS, MetricOptions, evaluate_metrics, measure

SORTS = {
    "number": st.sampled_from([0, 1, 2.5, -3.0]),
    "text": st.sampled_from(["a", "b", "long word"]),
    "truth": st.booleans(),
}
MISSING = {
    "number": [None, float("nan"), pd.NA],
    "text": ["", None, pd.NA, "nan", "NaN", "NA", "None"],
    "truth": [None],
}
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
    if value is None or value is pd.NA:
        return True
    return value in ("", "nan", "NaN", "NA", "None") or value != value  # noqa: PLR0124


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
    "rows": (np.ones(5), "factors must have the shape (3, K); the shape is (5, 1)"),
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


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_nan_that_was_cast_to_an_integer_is_missing(dtype):
    cast = np.iinfo(dtype).min
    for column in (
        np.array([3, cast, 4], dtype=dtype),
        [3, int(cast), 4],
        np.array([3.0, cast, 4.0]),
        pd.Series([3, cast, 4], dtype="Int64"),
    ):
        table = as_table(column, 3)
        np.testing.assert_array_equal(table.values[:, 0], [3, np.nan, 4])
        assert table.describe()[0]["missing"] == 1
    np.testing.assert_array_equal(
        as_column(np.array([3, cast], dtype=dtype), 2, "labels"), [3, np.nan]
    )


def test_disguised_missing_values_cost_no_score():
    """Of 60% of a factor, as nan and in disguise; as a class of their own they cost a half."""
    rng = np.random.default_rng(0)
    factor = rng.integers(5, size=2000)
    codes = factor[:, None] + 0.05 * rng.normal(size=(2000, 1))
    gone = rng.random(2000) < 0.6
    codes[gone] = rng.normal(size=(gone.sum(), 1))
    mig = METRICS["mig"]
    expected = measure(mig, codes, np.where(gone, np.nan, factor)).value
    assert expected > 0.9
    with np.errstate(invalid="ignore"):
        cast = np.where(gone, np.nan, factor.astype(float)).astype(np.int64)
    assert measure(mig, codes, cast).value == pytest.approx(expected, abs=1e-12)
    words = np.array(list("abcde"))[factor].astype("<U4")
    for word in ("nan", "NaN", "NA", "None", ""):
        words[gone] = word
        found = as_table(words, 2000)
        assert found.classes == (tuple("abcde"),)
        assert measure(mig, codes, found).value == pytest.approx(expected, abs=1e-12)
    frame = pd.DataFrame({"a": pd.Categorical(words)})
    assert as_table(frame, 2000).classes == (tuple("abcde"),)


def test_ordered_categories_without_their_missing_word():
    sizes = pd.Categorical(["m", "nan", "s"], ["s", "nan", "m"], ordered=True)
    table = as_table(pd.DataFrame({"size": sizes}), 3)
    assert (table.classes, table.kinds) == ((("s", "m"),), ("ordinal",))
    np.testing.assert_array_equal(table.values[:, 0], [1, np.nan, 0])


SENTINELS = {
    "minus one": ([0, 1, 2, 3, -1, -1], "factor_0 is -1 in 2 of 6 rows"),
    "minus 999": ([0.5, 1.5, -999, 2.5], "factor_0 is -999 in 1 of 4 rows"),
    "999": ([1, 2, 999, 999, 3], "factor_0 is 999 in 2 of 5 rows"),
    "unknown": (["a", "Unknown", "b"], "factor_0 is Unknown in 1 of 3 rows"),
}


@pytest.mark.parametrize("case", SENTINELS)
def test_values_that_may_stand_for_missing_ones_are_noted(case):
    values, words = SENTINELS[case]
    (note,) = as_table(values, len(values)).notes
    assert note.startswith(words)


@pytest.mark.parametrize(
    "values", [[-1, 1], [-1, 0, 1], [-2, -1, 0], [-1.5, 2, 3], [700, 800, 999], [3, 3], ["a", "b"]]
)
def test_ordinary_values_are_not_noted(values):
    assert as_table(values, len(values)).notes == ()


WORDS = np.random.default_rng(0).integers(700, size=6000)
GUESSES = {
    "ids": (WORDS, "continuous", "700 whole numbers; if they name classes"),
    "rounded": (np.round(WORDS / 1000, 2), "ordinal", "71 different values; if they are measured"),
    "names": ([f"row {i}" for i in range(50)], "categorical", "most classes have one row"),
    "text of numbers": (["1.5", "2", "2"], "categorical", "all of them numbers"),
}


@pytest.mark.parametrize("case", GUESSES)
def test_guesses_that_may_be_wrong_are_marked(case):
    values, kind, words = GUESSES[case]
    table = as_table(values, len(values), names=["odd"])
    assert (table.kinds, table.guessed) == ((kind,), ("odd",))
    assert words in table.notes[0]
    assert as_table(table, len(values), names=["new"]).guessed == ("new",)
    assert as_table(values, len(values), kinds=["categorical"]).guessed == ()
    assert as_table(table, len(values), kinds={"odd": "categorical"}).guessed == ()
    assert table.select([0]).guessed == ("odd",)
    assert table.select([]).guessed == ()


@pytest.mark.parametrize(
    "values",
    [np.arange(4), np.arange(300) % 40, np.random.default_rng(0).normal(size=200), ["a", "b"] * 9],
)
def test_ordinary_guesses_are_not_marked(values):
    table = as_table(values, len(values))
    assert (table.guessed, table.notes) == ((), ())


@given(st.integers(1, 120), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_values_and_their_numbers_have_the_same_classes(different, times, seed):
    """By default and in bins of equal width or count, with the kind that is guessed."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(np.repeat(np.arange(different), times))
    values = np.linspace(0, 1, max(different, 2))[numbers]
    one, other = as_table(numbers, len(numbers)), as_table(values, len(values))
    for bins in (None, 10, 20):
        for rule in ("width", "count"):
            np.testing.assert_array_equal(one.labels(0, bins, rule), other.labels(0, bins, rule))
    assert one.kinds == other.kinds


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_angles_that_agree_but_for_rounding_are_one(dtype):
    """40 orientations from 0 to 2 pi with both ends, and 2 pi given to seven digits."""
    steps = np.arange(200) % 40
    angles = np.linspace(0, 2 * np.pi, 40)[steps].astype(dtype)
    for period in (2 * np.pi, 6.283185, np.float32(2 * np.pi)):
        table = as_table(angles, 200, kinds=[f"circular:{float(period)!r}"])
        np.testing.assert_array_equal(table.labels(0), steps % 39)
    turns = (angles + 2 * np.pi * (np.arange(200) // 40)).astype(dtype)
    table = as_table(turns, 200, kinds=[f"circular:{2 * np.pi!r}"])
    np.testing.assert_array_equal(table.labels(0), steps % 39)
    again = as_table(table, 200, names=["angle"])
    np.testing.assert_array_equal(again.values, table.values)


def test_rounding_is_no_step_of_a_circle():
    values = np.array([0.1, 0.2, 0.3, 0.1 + 0.2, 0.4])
    assert as_table(values, 5, kinds=["circular"]).periods[0] == pytest.approx(0.4)


def test_measured_angles_stay_apart():
    for angles in (
        np.random.default_rng(0).uniform(0, 1, size=400_000),
        np.arange(200_000)
        / 200_000,  # each one is nearer to the next than rounding is taken to be
    ):
        table = as_table(angles, len(angles), kinds=["circular:1"])
        np.testing.assert_array_equal(table.values[:, 0], angles)


TEXT = {
    "frame": lambda words: pd.DataFrame({"cell_type": words}),
    "categories": lambda words: pd.DataFrame({"cell_type": pd.Categorical(words)}),
    "nullable": lambda words: pd.DataFrame({"cell_type": pd.array(words, dtype="string")}),
    "series": lambda words: pd.Series(words, name="cell_type"),
    "beside numbers": lambda words: pd.DataFrame({"cell_type": words, "dose": range(len(words))}),
}


@pytest.mark.parametrize("container", TEXT)
def test_columns_of_text_are_categories(container):
    words = ["B", "T", "NK", "T", "B", "NK"] * 20
    factors = TEXT[container](words)
    table = as_table(factors, 120)
    assert (table.kinds[0], table.classes[0], table.names[0]) == (
        "categorical", ("B", "NK", "T"), "cell_type",
    )  # fmt: skip
    codes = table.values[:, :1] * 2.0
    card = score(codes, factors=factors, metrics=MetricOptions("mig", permutations=1, halves=2))
    assert card.metrics.kinds["cell_type"] == "categorical"


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_labels_of_text_are_categories(dtype):
    labels = pd.Series(["B", "T", "NK", "T"] * 30, dtype=dtype)
    codes = np.array([0.0, 2, 1, 2] * 30)[:, None]
    card = score(codes, labels=labels, metrics=MetricOptions("mig", permutations=1, halves=2))
    assert card.metrics.metrics["mig@default"].value == pytest.approx(1, abs=1e-9)


def test_the_notes_of_factors_are_among_those_of_metrics():
    rng = np.random.default_rng(0)
    word, size = rng.integers(300, size=900), rng.integers(4, size=900)
    size[:50] = -1
    factors = as_table(np.stack([word, size], 1), 900, names=["word", "size"])
    found = evaluate_metrics("mig", rng.normal(size=(900, 2)), factors, permutations=1, halves=0)
    assert found.guessed == ("word",)
    assert set(factors.notes) <= set(found.notes)
    assert "word continuous (a guess), size ordinal" in " ".join(str(found).split())
    assert "size is -1 in 50 of 900 rows" in " ".join(str(found).split())


def tables():
    """A table with missing values of every kind, by library."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: NOT tested")
    columns = {
        "kind": ["owl", None, "cat", "owl"],
        "size": [1, 2, None, 4],
        "truth": [True, None, False, True],
        "depth": [0.5, 1.5, 2.5, 3.5],
    }
    yield pyarrow.table(columns)
    coded = pyarrow.array(columns["kind"]).dictionary_encode()
    yield pyarrow.table({**columns, "kind": coded})
    try:
        import polars
    except ImportError:
        return
    yield polars.DataFrame(columns)
    yield polars.DataFrame(columns).with_columns(polars.col("kind").cast(polars.Categorical))


def test_tables_of_arrow_and_polars_are_factors():
    expected = pd.DataFrame(
        {
            "kind": ["owl", None, "cat", "owl"],
            "size": [1, 2, np.nan, 4],
            "truth": [True, None, False, True],
            "depth": [0.5, 1.5, 2.5, 3.5],
        }
    )
    want = as_table(expected, 4)
    for table in tables():
        found = as_table(table, 4)
        assert (found.names, found.kinds, found.classes) == (want.names, want.kinds, want.classes)
        np.testing.assert_array_equal(found.values, want.values)


def test_a_column_of_arrow_is_labels():
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: NOT tested")
    column = pyarrow.chunked_array([["b", None], ["a"]])
    assert as_column(column, 3, "labels").tolist() == ["b", "", "a"]


@pytest.mark.parametrize("value", [-9, -99, -999, -9999])
def test_a_value_far_below_signed_numbers_gets_a_note(value):
    numbers = np.random.default_rng(0).normal(size=(400, 1))
    assert sentinel(numbers.ravel(), None) == ""
    numbers[:120] = value
    assert sentinel(numbers.ravel(), None) == str(value)
    assert sentinel(numbers.ravel() - numbers.min(), None) == ""
