"""Layouts, suspicious values, and what belongs to the rows: factors, labels, clusters."""

import numpy as np
import pytest

from disentangle_indicators.encodings import AmbiguousEncodings, read_encodings, write_encodings
from disentangle_indicators.factors import as_table
from disentangle_indicators.posteriors import Encodings

rng = np.random.default_rng(1)
IMAGES = rng.normal(size=(5, 3, 2, 4))
WIDTHS = rng.uniform(0.5, 1.5, size=IMAGES.shape)


def test_layout_is_compulsory(npz):
    with pytest.raises(AmbiguousEncodings, match="add layout='channels' or 'last' or 'flatten'$"):
        read_encodings(npz(mean=IMAGES, std=WIDTHS))
    with pytest.raises(ValueError, match="layout must be"):
        read_encodings(npz(mean=IMAGES, std=WIDTHS), layout="rows")


@pytest.mark.parametrize("rows", [None, 1, 7, 8, 16, 1000])
def test_channels(npz, rows):
    encodings = read_encodings(npz(mean=IMAGES, std=WIDTHS), layout="channels")
    assert (encodings.n, encodings.d, encodings.layout) == (40, 3, "channels")
    expected = [IMAGES[i, :, y, x] for i in range(5) for y in range(2) for x in range(4)]
    batches = list(encodings.batches(rows))
    assert all(len(m) == len(v) == (rows or 40) for m, v in batches[:-1])
    np.testing.assert_array_equal(np.concatenate([m for m, _ in batches]), expected)
    np.testing.assert_array_equal(encodings.mean, expected)
    np.testing.assert_array_equal(np.concatenate([v for _, v in batches]), encodings.var)
    assert encodings.clusters.tolist() == [i for i in range(5) for _ in range(8)]


def test_flatten(npz):
    encodings = read_encodings(npz(mean=IMAGES, std=WIDTHS), layout="flatten")
    assert (encodings.n, encodings.d, encodings.clusters) == (5, 24, None)
    np.testing.assert_array_equal(encodings.mean, IMAGES.reshape(5, 24))
    np.testing.assert_array_equal(
        np.concatenate([v for _, v in encodings.batches(2)]), WIDTHS.reshape(5, 24) ** 2
    )


@pytest.mark.parametrize("layout", ["channels", "flatten"])
def test_layout_of_a_table_changes_nothing(npz, pair, layout):
    encodings = read_encodings(npz(mean=pair[0], var=pair[1]), layout=layout)
    assert (encodings.layout, encodings.clusters) == ("", None)
    np.testing.assert_array_equal(encodings.mean, pair[0])


def test_columns_of_images_go_to_their_sites(npz):
    path = npz(
        mean=IMAGES, factors=np.arange(10).reshape(5, 2), labels=np.arange(5), donor=list("aabbc")
    )
    encodings = read_encodings(path, layout="channels", clusters="donor")
    assert encodings.factors.values.shape == (40, 2)
    assert encodings.labels.tolist() == [i for i in range(5) for _ in range(8)]
    assert "".join(encodings.clusters) == "a" * 16 + "b" * 16 + "c" * 8
    sites = npz(mean=IMAGES, labels=np.arange(40))
    assert read_encodings(sites, layout="channels").labels.tolist() == list(range(40))


@pytest.mark.parametrize("shape", [(), (7,), (0, 3), (3, 0)])
def test_shapes_of_means(npz, shape):
    with pytest.raises(ValueError, match=r"shape|no rows|no latents|no key"):
        read_encodings(npz(mean=np.ones(shape)))


def test_the_mean_stored_twice(any_format, pair):
    with pytest.raises(ValueError, match="stored twice"):
        read_encodings(any_format(mean=pair[0], logvar=pair[0]))


def test_the_same_npy_twice(tmp_path, pair):
    np.save(tmp_path / "a.npy", pair[0])
    with pytest.raises(ValueError, match="stored twice"):
        read_encodings(mean=tmp_path / "a.npy", logvar=tmp_path / "a.npy")


def test_mean_and_scale_that_differ_late(npz):
    mean = np.zeros((300_000, 1))
    logvar = mean.copy()
    mean[0] = logvar[0] = 1
    with pytest.raises(ValueError, match="stored twice"):
        read_encodings(npz(mean=mean, logvar=logvar))
    logvar[-1] = 2
    assert read_encodings(npz(mean=mean, logvar=logvar)).notes == ()


@pytest.mark.parametrize(("name", "value"), [("std", 1), ("logvar", 0), ("var", 0.25)])
def test_constant_scale(npz, pair, name, value):
    (note,) = read_encodings(npz(mean=pair[0], **{name: np.full((23, 3), value)})).notes
    assert note == (
        f"WARNING: every entry of '{name}' is {value}; the model fixes its posterior width, or "
        "the export is broken"
    )


@pytest.mark.parametrize(("name", "value"), [("std", 1), ("logvar", 0), ("var", 0.25)])
def test_collapse_is_named_only_where_every_latent_is_unused(npz, name, value):
    still = np.random.default_rng(0).uniform(-0.09, 0.09, size=(23, 3))
    (note,) = read_encodings(npz(mean=still, **{name: np.full((23, 3), value)})).notes
    collapsed = "is {}, and no mean is further than 0.1 from 0: all latents have collapsed, or the"
    assert (collapsed.format(value) in note) is (value != 0.25)
    assert ("fixes its posterior width" in note) is (value == 0.25)


def test_constant_until_the_last_row(npz):
    std = np.ones((300_000, 2), dtype="f4")
    std[-1, 1] = 2
    assert read_encodings(npz(mean=np.zeros_like(std), std=std)).notes == ()


def test_everything_constant_is_no_trap(npz):
    (note,) = read_encodings(npz(mean=np.zeros((4, 2)), logvar=np.zeros((4, 2)))).notes
    assert "every entry" in note


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("z_log_var", np.nan, "finite"),
        ("z_log_var", np.inf, "finite"),
        ("z_log_var", 1000, "extremes"),
        ("z_std", 0, "positive.*underflow"),
        ("z_std", -1, "positive.*logvar"),
        ("variance", 0, "positive"),
        ("variance", -0.2, "positive"),
    ],
)
def test_bad_scales_name_their_key(npz, pair, name, value, words):
    values = pair[1].copy()
    values[17, 2] = value
    encodings = read_encodings(npz(mu=pair[0], **{name: values}))
    for rows in (None, 5):
        with pytest.raises(ValueError, match=f"key '{name}': .*{words}") as caught:
            list(encodings.batches(rows))
        assert words == "extremes" or "[17, 2]" in str(caught.value)
    with pytest.raises(ValueError, match=f"key '{name}'"):
        _ = encodings.var


@pytest.mark.parametrize("dtype", ["?", "c16", "U3", "M8[s]", [("a", "f4")]])
@pytest.mark.parametrize("name", ["mean", "std"])
def test_arrays_that_are_not_numbers(npz, pair, dtype, name):
    arrays = {"mean": pair[0], "std": pair[1]} | {name: np.zeros((23, 3), dtype=dtype)}
    path = npz(**arrays)
    with pytest.raises(ValueError, match=f"'{name}'"):
        read_encodings(path, mean_key="mean", scale_key="std")


def test_factors_and_labels_by_themselves(any_format, pair):
    factors = np.arange(46.0).reshape(23, 2)
    encodings = read_encodings(
        any_format(mean=pair[0], var=pair[1], factors=factors, labels=np.arange(23))
    )
    np.testing.assert_array_equal(encodings.factors.to_array(), factors)
    assert encodings.factors.names == ("factor_0", "factor_1")
    assert encodings.labels.tolist() == list(range(23))
    assert encodings.clusters is None


def test_factor_names_of_the_file(npz, pair):
    path = npz(mean=pair[0], factors=np.ones((23, 2)), factor_names=["shape", "size"])
    assert read_encodings(path).factors.names == ("shape", "size")
    assert read_encodings(path, factor_names=["a", "b"]).factors.names == ("a", "b")
    with pytest.raises(ValueError, match="factor_names must be 2 names"):
        read_encodings(path, factor_names=["a"])


def test_factor_names_of_a_pt_file(tmp_path, pair):
    torch = pytest.importorskip("torch")
    values = {
        "mean": torch.from_numpy(pair[0]),
        "factors": torch.ones(23, 1),
        "factor_names": ["x"],
    }
    torch.save(values | {"source": "here"}, tmp_path / "a.pt")
    encodings = read_encodings(tmp_path / "a.pt")
    assert encodings.factors.names == ("x",)
    assert encodings.metadata["source"] == "here"


def test_keys_on_request(any_format, pair):
    path = any_format(mean=pair[0], var=pair[1], shape=np.arange(23), y=np.arange(23) % 3)
    encodings = read_encodings(path, factors="shape", labels="y", clusters="y")
    assert encodings.factors.values.shape == (23, 1)
    assert encodings.factors.names == ("shape",)
    assert encodings.labels.tolist() == encodings.clusters.tolist() == (np.arange(23) % 3).tolist()
    both = read_encodings(path, factors="shape,y")
    assert both.factors.names == ("shape", "y")
    assert both.labels is None


def test_factors_of_another_file(tmp_path, npz, pair):
    path = npz(mean=pair[0], var=pair[1])
    factors = np.arange(46).reshape(23, 2)
    np.save(tmp_path / "f.npy", factors)
    np.savez(tmp_path / "one.npz", anything=factors)
    np.savez(tmp_path / "named.npz", factors=factors, factor_names=["a", "b"], other=1)
    lines = ["a,b", *(f"{x},{y}" for x, y in factors)]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    (tmp_path / "f.tsv").write_text("\n".join(lines).replace(",", "\t"))
    index = [",a,b", *(f"{i},{x},{y}" for i, (x, y) in enumerate(factors))]
    (tmp_path / "indexed.csv").write_text("\n".join(index))
    for name in ("f.npy", "one.npz", "named.npz", "f.csv", "f.tsv", "indexed.csv"):
        for source in (tmp_path / name, str(tmp_path / name)):
            encodings = read_encodings(path, factors=source)
            np.testing.assert_array_equal(encodings.factors.to_array(), factors)
            known = name not in ("f.npy", "one.npz")
            assert encodings.factors.names == (("a", "b") if known else ("factor_0", "factor_1"))


def test_labels_and_clusters_of_another_file(tmp_path, npz, pair):
    path = npz(mean=pair[0], var=pair[1], labels=np.zeros(23))
    words = [f"word {i % 4}" for i in range(23)]
    np.save(tmp_path / "l.npy", words)
    (tmp_path / "one.csv").write_text("\n".join(["anything", *words]))
    (tmp_path / "many.csv").write_text(
        "\n".join(["labels,cluster", *(f"{word},{i}" for i, word in enumerate(words))])
    )
    for name in ("l.npy", "one.csv", "many.csv"):
        assert read_encodings(path, labels=tmp_path / name).labels.tolist() == words
    assert read_encodings(path, clusters=tmp_path / "many.csv").clusters.tolist() == list(
        range(23)
    )


def test_text_is_kept_as_written(tmp_path):
    (tmp_path / "a.csv").write_text("mean_0,cell,ok,code\n1,NA,True,07x\n2,nan cell,False,1\n")
    path = tmp_path / "a.csv"
    assert read_encodings(path, labels="cell").labels.tolist() == ["NA", "nan cell"]
    assert read_encodings(path, labels="code").labels.tolist() == ["07x", "1"]
    assert read_encodings(path, factors="ok").factors.to_array().tolist() == [[True], [False]]


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("factors", np.ones((5, 2)), r"factors must have the shape \(23, K\)"),
        ("factors", np.ones((23, 0)), "factors must have the shape"),
        ("factors", np.ones(23, dtype=complex), "factors must be numbers or text"),
        ("factors", np.full(23, np.inf), r"factors must be finite or nan; extra\[0\] = inf"),
        ("labels", np.ones(5), r"labels must have the shape \(23,\)"),
        ("clusters", np.ones((23, 2)), "clusters must have the shape"),
        ("clusters", np.ones(23, dtype=complex), "clusters must be numbers or text"),
    ],
)
def test_columns_that_do_not_fit(npz, pair, kind, values, words):
    with pytest.raises(ValueError, match=words):
        read_encodings(npz(mean=pair[0], extra=values), **{kind: "extra"})


def test_factors_of_the_wrong_length_by_themselves(npz, pair):
    with pytest.raises(ValueError, match="factors must have the shape"):
        read_encodings(npz(mean=pair[0], factors=np.ones((5, 2))))


def test_keys_of_another_meaning_are_left_with_a_note(npz, pair):
    encodings = read_encodings(
        npz(mean=pair[0], var=pair[1], factors=np.ones((23, 4, 2)), labels=np.ones((23, 6)))
    )
    assert encodings.factors is None
    assert encodings.labels is None
    assert len(encodings.notes) == 2


def test_text_factors_of_a_csv(tmp_path, npz, pair):
    """Beside numbers with an empty field, and truth values."""
    lines = [f"{'red' if i % 2 else ''},{i / 2 if i else ''},{i < 3}" for i in range(23)]
    (tmp_path / "f.csv").write_text("\n".join(["colour,size,first", *lines]))
    found = read_encodings(npz(mean=pair[0]), factors=tmp_path / "f.csv")
    assert found.factors.names == ("colour", "size", "first")
    table = as_table(found.factors, 23)
    assert table.classes == (("red",), None, ("False", "True"))
    assert [(f["values"], f["missing"]) for f in table.describe()] == [(1, 12), (22, 1), (2, 0)]
    (tmp_path / "f.csv").write_text("\n".join(["colour", *["red", "blue"] * 11, "red"]))
    found = read_encodings(npz(mean=pair[0]), factors=tmp_path / "f.csv")
    assert found.factors.to_array()[:2].tolist() == [["red"], ["blue"]]


def test_a_source_that_is_nothing(npz, pair):
    with pytest.raises(ValueError, match="'nope' is neither a key nor a file"):
        read_encodings(npz(mean=pair[0]), labels="nope")
    with pytest.raises(ValueError, match="factor_names are given without factors"):
        read_encodings(npz(mean=pair[0]), factor_names=["a"])


def test_a_source_with_several_arrays(tmp_path, npz, pair):
    np.savez(tmp_path / "two.npz", a=np.ones(23), b=np.ones(23))
    with pytest.raises(ValueError, match="one column, and there are a, b; save one"):
        read_encodings(npz(mean=pair[0]), labels=tmp_path / "two.npz")


TIMES = {
    "numbers": np.arange(23.0) / 7,
    "dates": np.datetime64("2024-01-30") + np.arange(23),
    "text": np.array([f"2024-01-{i + 1:02d}" for i in range(23)]),
}


@pytest.mark.parametrize("times", TIMES)
def test_a_series_is_cut_into_blocks(npz, pair, times):
    """Neighbours in time share a block, in whatever order the rows are stored."""
    shuffled = np.random.default_rng(0).permutation(23)
    path = npz(mean=pair[0], var=pair[1], t=TIMES[times][shuffled])
    found = read_encodings(path, order="t")
    expected = Encodings.of(*pair, order=shuffled)
    assert found.clusters.tolist() == expected.clusters.tolist()
    assert found.cluster_codes[0] == 11
    assert found.notes == expected.notes != ()


def test_rows_in_order_of_time(npz, any_format, pair, tmp_path):
    expected = Encodings.of(*pair, order=np.arange(23)).clusters.tolist()
    path = any_format(mean=pair[0], var=pair[1])
    assert read_encodings(path, order="rows").clusters.tolist() == expected
    (tmp_path / "t.csv").write_text("order\n" + "\n".join(map(str, range(23))))
    found = read_encodings(path, order=tmp_path / "t.csv")
    assert found.clusters.tolist() == expected
    assert found.inputs[1].name.endswith("t.csv")
    key = npz(mean=pair[0], rows=np.arange(23)[::-1])
    assert read_encodings(key, order="rows").clusters.tolist() == expected[::-1]


def test_the_blocks_of_images_have_all_their_sites(npz):
    images = np.repeat(IMAGES, 20, axis=0)
    order = np.random.default_rng(0).permutation(100)
    found = read_encodings(npz(mean=images, t=order), layout="channels", order="t").clusters
    assert (found.reshape(100, 8) == found[::8, None]).all()
    assert found[::8].tolist() == (order * 30 // 100).tolist()
    rows = read_encodings(npz(mean=images), layout="channels", order="rows")
    assert rows.clusters[::8].tolist() == (np.arange(100) * 30 // 100).tolist()


def test_an_order_that_is_none(npz, pair):
    path = npz(mean=pair[0], c=np.arange(23) // 2, same=np.zeros(23), short=np.arange(22))
    for words, rule in (
        ({"order": "c", "clusters": "c"}, "either clusters or order"),
        ({"order": "nope"}, "order: 'nope' is neither a key nor a file"),
        ({"order": "same"}, "order must leave two blocks"),
        ({"order": "short"}, "order"),
    ):
        with pytest.raises(ValueError, match=rf"encodings\.npz: .*{rule}"):
            read_encodings(path, **words)


def test_an_order_goes_before_the_clusters_of_the_file(tmp_path, pair):
    path = write_encodings(tmp_path / "a.npz", pair[0], var=pair[1], clusters=np.arange(23) // 4)
    assert read_encodings(path).cluster_codes[0] == 6
    assert read_encodings(path, order="rows").cluster_codes[0] == 11


@pytest.mark.parametrize("what", ["labels", "clusters", "factors", "order"])
def test_a_single_number_belongs_to_no_row(npz, pair, what):
    with pytest.raises(ValueError, match=rf"encodings\.npz: {what} must have the shape \(23"):
        read_encodings(npz(mean=pair[0], one=np.array(3)), **{what: "one"})
    with pytest.raises(ValueError, match=rf"^{what} must have the shape \(23"):
        Encodings.of(*pair, **{what: 3})
