"""Tables as pandas writes them: columns 0, 1, ... and an index."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disentangle_indicators.encodings import read_encodings

rng = np.random.default_rng(3)
MEAN = rng.normal(size=(30, 12))
VAR = rng.uniform(0.1, 1, size=(30, 12))
INDEXES = {
    "range": None,
    "barcodes": [f"cell,{i}" for i in range(30)],
    "named": pd.Index([f"cell {i}" for i in range(30)], name="barcode"),
}


def _save(path, values, index=None, again=False):
    pd.DataFrame(values, index=index).to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    if again:  # an index that is read as a column, and written beside another index
        exact = "round_trip" if pd.__version__ < "3" else None  # which later releases are anyway
        pd.read_csv(path, float_precision=exact).to_csv(path)
    return path


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_columns_without_names_are_means(tmp_path, index, suffix):
    """The columns 1, 10 and 11 were joined to one array."""
    found = read_encodings(_save(tmp_path / f"means{suffix}", MEAN, INDEXES[index]))
    np.testing.assert_array_equal(found.mean, MEAN)
    assert (found.n, found.d, found.scale) == (30, 12, "")
    assert "taken as posterior means" in found.notes[0]


@pytest.mark.parametrize("again", [False, True])
def test_a_table_of_means_and_one_of_variances(tmp_path, again):
    mean = _save(tmp_path / "means.csv", MEAN, INDEXES["barcodes"] if not again else None, again)
    var = _save(tmp_path / "variances.csv", VAR)
    for found in (read_encodings(mean=mean, var=var), read_encodings(mean, var=var)):
        np.testing.assert_array_equal(found.mean, MEAN)
        np.testing.assert_array_equal(found.var, VAR)
        assert found.notes == ()
        assert [Path(each.name).name for each in found.inputs] == ["means.csv", "variances.csv"]


def test_named_columns_of_two_tables(tmp_path):
    pd.DataFrame(MEAN, columns=[f"V{i + 1}" for i in range(12)]).to_csv(tmp_path / "m.csv")
    pd.DataFrame(VAR[:, 0], columns=["std"]).to_csv(tmp_path / "s.csv")
    found = read_encodings(mean=tmp_path / "m.csv", std=tmp_path / "s.csv")
    np.testing.assert_array_equal(found.mean, MEAN)
    np.testing.assert_allclose(found.var, np.repeat(VAR[:, :1], 12, axis=1) ** 2)


def test_numbers_that_are_no_positions_are_columns(tmp_path):
    pd.DataFrame({"mean_0": [1.0, 2], "2019": [0, 1], "2020": [1, 0]}).to_csv(tmp_path / "a.csv")
    found = read_encodings(tmp_path / "a.csv", labels="2020")
    assert (found.d, found.labels.tolist()) == (1, [1, 0])


@pytest.mark.parametrize("index", INDEXES)
def test_a_table_of_factors_with_text(tmp_path, index):
    rows = {
        "cell_type": ["T cell, CD4", 'B "naive"', ""] * 10,
        "batch": pd.Categorical(["b1", "b2"] * 15),
        "treated": [True, False] * 15,
        "dose": np.arange(30) % 3,
    }
    pd.DataFrame(rows, index=INDEXES[index]).to_csv(tmp_path / "obs.csv")
    mean = _save(tmp_path / "means.csv", MEAN)
    encodings = read_encodings(mean, factors=tmp_path / "obs.csv")
    found = encodings.factors
    assert ("the column 'barcode' of" in encodings.notes[-1]) == (index == "named")
    assert found.names == ("cell_type", "batch", "treated", "dose")
    assert found.kinds == ("categorical", "categorical", "categorical", "ordinal")
    assert found.classes[0] == ('B "naive"', "T cell, CD4")
    assert np.isnan(found.values[:, 0]).sum() == 10


def test_a_lone_column_of_words_is_a_factor(tmp_path):
    mean = _save(tmp_path / "means.csv", MEAN)
    (tmp_path / "word.csv").write_text("word\n" + "\n".join(f"w{i}" for i in range(30)))
    assert read_encodings(mean, factors=tmp_path / "word.csv").factors.names == ("word",)
    (tmp_path / "two.csv").write_text("id,word\n" + "\n".join(f"{i},w{i}" for i in range(30)))
    assert read_encodings(mean, factors=tmp_path / "two.csv").factors.names == ("id", "word")


def test_labels_of_a_table_of_several_columns(tmp_path):
    mean = _save(tmp_path / "means.csv", MEAN)
    (tmp_path / "obs.csv").write_text("a,b\n" + "x,y\n" * 30)
    with pytest.raises(
        ValueError, match=r"obs\.csv: labels must be one column, .* or call it labels$"
    ):
        read_encodings(mean, labels=tmp_path / "obs.csv")


@pytest.mark.parametrize("dtype", [str, "S"])
def test_text_in_npz_files(tmp_path, dtype):
    batch = np.array(["b1", "b2", ""] * 10)
    table = np.stack([batch, batch[::-1]], axis=1).astype(dtype)
    np.savez(tmp_path / "a.npz", mean=MEAN, factors=table, cell_type=batch.astype(dtype))
    found = read_encodings(tmp_path / "a.npz", labels="cell_type")
    assert found.factors.kinds == ("categorical", "categorical")
    assert found.factors.classes[0] == ("b1", "b2")
    assert read_encodings(tmp_path / "a.npz", factors="cell_type").factors.names == ("cell_type",)


@pytest.mark.parametrize("key", ["factors", "labels"])
def test_objects_do_not_cost_the_file(tmp_path, key):
    """np.savez(path, labels=adata.obs["batch"]) pickles text, and the whole file was refused."""
    words = pd.Series(["b1", "b2"] * 15, dtype=object)
    np.savez(tmp_path / "a.npz", mean=MEAN, **{key: np.asarray(words)}, allow_pickle=True)
    found = read_encodings(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.mean, MEAN)
    assert "re-save text as np.asarray(values, dtype=str)" in found.notes[-1]
    with pytest.raises(ValueError, match=rf"a\.npz: '{key}' holds Python objects; re-save text"):
        read_encodings(tmp_path / "a.npz", **{key: key})


def table_of_text(path, pair, sign=",", decimal=".", before="", header=True):
    """Write means and variances as text."""
    names = [f"{key}_{j}" for key in ("mean", "var") for j in range(3)]
    lines = [sign.join(names)] if header else []
    for i, row in enumerate(np.hstack(pair)):
        fields = [repr(float(value)).replace(".", decimal) for value in row]
        lines.append(sign.join([*([before.format(i)] if before else []), *fields]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.csv", {"sign": ";", "decimal": ","}),
        ("a.csv", {"sign": ";"}),
        ("a.csv", {"sign": "\t"}),
        ("a.tsv", {"sign": ","}),
        ("a.txt", {"sign": " ", "before": '"{}"'}),
        ("a.txt", {"sign": "\t", "before": "{}"}),
        ("a.csv", {"sign": ",", "before": "row {}"}),
        ("a.txt", {"sign": "  "}),
    ],
)
def test_tables_of_r_and_excel(tmp_path, pair, name, options):
    """Whatever stands between the fields, and with row names above which there is no field."""
    encodings = read_encodings(table_of_text(tmp_path / name, pair, **options))
    np.testing.assert_array_equal(encodings.mean, pair[0])
    np.testing.assert_array_equal(encodings.var, pair[1])
    blocks = np.concatenate([block[0] for block in encodings.batches(4)])
    np.testing.assert_array_equal(blocks, pair[0])


def test_a_compressed_table(tmp_path, pair):
    import gzip

    plain = table_of_text(tmp_path / "a.csv", pair)
    for name in ("b.csv.gz", "gzip_for_all_that.csv"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
        np.testing.assert_array_equal(read_encodings(tmp_path / name).mean, pair[0])
    data = (tmp_path / "b.csv.gz").read_bytes()
    (tmp_path / "b.csv.gz").write_bytes(data[:-20])
    with pytest.raises(ValueError, match=r"b\.csv\.gz.*damaged"):
        read_encodings(tmp_path / "b.csv.gz")


def test_a_table_without_a_header_line_is_one_array(tmp_path, pair):
    path = table_of_text(tmp_path / "a.csv", pair, header=False)
    encodings = read_encodings(path)
    assert (encodings.n, encodings.d, encodings.scale) == (23, 6, "")
    assert any("no header line in a.csv" in note for note in encodings.notes)
    packed = read_encodings(path, packed="mean,var")
    np.testing.assert_array_equal(packed.mean, pair[0])
    np.testing.assert_array_equal(packed.var, pair[1])


def test_the_number_may_stand_before_the_role(tmp_path, pair):
    names = [f"latent_{j}_{key}" for key in ("mean", "var") for j in range(3)]
    np.savetxt(
        tmp_path / "a.csv", np.hstack(pair), delimiter=",", header=",".join(names), comments=""
    )
    encodings = read_encodings(tmp_path / "a.csv")
    assert (encodings.mean_key, encodings.scale_key) == ("latent/mean", "latent/var")
    np.testing.assert_allclose(encodings.mean, pair[0])


def test_missing_numbers_of_r_and_decimal_commas_in_factors(tmp_path, pair):
    lines = ["mean_0;size;kind"]
    lines += [f"{i},5;{'NA' if i == 2 else f'{i},25'};{'a,b' if i else 'c'}" for i in range(5)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    factors = read_encodings(tmp_path / "a.csv", factors="size,kind").factors
    np.testing.assert_array_equal(factors.column(0), [0.25, 1.25, np.nan, 3.25, 4.25])
    assert factors.column(1).tolist() == ["c", "a,b", "a,b", "a,b", "a,b"]
