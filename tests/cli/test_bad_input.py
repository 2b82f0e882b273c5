"""Bad input exits 2 with a message that names it."""

from pathlib import Path

import numpy as np
import pytest
from cli_helpers import TO_SCALE

from disentangle_indicators import _memory

ENTRIES = {
    "nan in mean": ("mean", np.nan, "mean must be finite; mean[17, 3] = nan"),
    "inf in mean": ("mean", np.inf, "mean must be finite; mean[17, 3] = inf"),
    "-inf in mean": ("mean", -np.inf, "mean must be finite; mean[17, 3] = -inf"),
    "nan in var": ("var", np.nan, "var must be finite; var[17, 3] = nan"),
    "inf in var": ("var", np.inf, "var must be finite; var[17, 3] = inf"),
    "negative var": ("var", -0.2, "is this logvar or logstd?); var[17, 3] = -0.2"),
    "zero var": ("var", 0.0, "var[17, 3] = 0"),
    "nan in logvar": ("logvar", np.nan, "logvar must be finite; logvar[17, 3] = nan"),
    "inf in logvar": ("logvar", -np.inf, "logvar must be finite; logvar[17, 3] = -inf"),
    "huge logvar": ("logvar", 1e4, "logvar gives variances outside"),
    "zero std": ("std", 0.0, "std[17, 3] = 0"),
    "nan in logstd": ("logstd", np.nan, "logstd[17, 3] = nan"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_bad_entries_are_named(say, npz, pair, case):
    key, value, message = ENTRIES[case]
    scale = "var" if key == "mean" else key
    arrays = {"mean": pair[0].copy(), scale: TO_SCALE[scale](pair[1].copy())}
    arrays[key][17, 3] = value
    said = say("score", npz(**arrays))
    assert message in said
    assert "Warning" not in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_means_without_variances_are_named(say, npz, pair, value):
    pair[0][17, 3] = value
    assert f"mean[17, 3] = {value}" in say("score", npz(mean=pair[0]))


@pytest.mark.parametrize("key", ["mean", "var"])
def test_among_several_files_the_bad_one_is_named(say, npz, good, pair, key):
    arrays = {"mean": pair[0].copy(), "var": pair[1].copy()}
    arrays[key][0, 0] = np.nan
    assert "bad.npz" in say("score", good, npz("bad.npz", **arrays))


def test_rows_are_counted_over_all_batches(say, npz):
    mean = np.zeros((3_000, 400), np.float32)
    mean[2_900, 7] = np.nan
    said = say("score", npz(mean=mean, logvar=np.linspace(-1, 0, 400) * np.ones((3_000, 1))))
    assert "mean[2900, 7] = nan" in said


SHAPES = {
    "shape mismatch": ((80, 4), (79, 4), ["'mean' (80, 4)", "'var' (79, 4)", "shape of the mean"]),
    "transposed": ((80, 4), (4, 80), ["'var' (4, 80)", "shape of the mean"]),
    "no samples": ((0, 4), (0, 4), ["the mean has no rows", "(0, 4)"]),
    "no latents": ((80, 0), (80, 0), ["the mean has no latents", "(80, 0)"]),
    "one axis": ((80,), (80,), ["must have the shape (n, d)", "(80,)"]),
    "three axes": ((20, 4, 4), (20, 4, 4), ["(20, 4, 4)", "add --layout channels|last|flatten"]),
}


@pytest.mark.parametrize("case", SHAPES)
def test_bad_shapes_are_named(say, npz, case):
    mean, var, words = SHAPES[case]
    rng = np.random.default_rng(0)
    said = say("score", npz(mean=rng.normal(size=mean), var=rng.uniform(0.1, 1, size=var)))
    assert [word for word in words if word not in said] == []


def test_the_mean_stored_twice(say, npz, pair):
    assert "'var' holds the same numbers as 'mean'" in say("score", npz(mean=pair[1], var=pair[1]))


GARBAGE = {
    "text": b"hello, world\n",
    "nothing": b"",
    "half a zip": b"PK\x03\x04\x00\x00",
    "zeros": bytes(200),
}


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize("content", GARBAGE)
def test_damaged_files(say, folder, suffix, content):
    if suffix == ".pt":
        pytest.importorskip("torch")
    Path(f"bad{suffix}").write_bytes(GARBAGE[content])
    assert f"bad{suffix}: " in say("score", f"bad{suffix}")


def test_a_truncated_file(say, good):
    content = Path(good).read_bytes()
    Path("half.npz").write_bytes(content[: len(content) // 2])
    assert "half.npz: the file is damaged or not of this format" in say("score", "half.npz")


@pytest.mark.parametrize("name", ["missing.npz", "no/such/folder.npz"])
def test_missing_files(say, folder, name):
    said = say("score", name)
    assert name in said
    assert said.count("no such file") + said.count("there is no file") == 1


@pytest.mark.parametrize("name", ["a.doc", "a", "a.h6"])
def test_wrong_suffix(say, folder, name):
    Path(name).write_text("x")
    said = say("score", name)
    assert f"{name}: the suffix must be one of .npz" in said


def test_an_empty_folder_has_no_encodings(say, folder):
    Path("d.npz").mkdir()
    assert "d.npz: there is no file of encodings in this folder" in say("score", "d.npz")


def test_a_file_without_an_array(say, npz):
    assert "the file holds no array" in say("score", npz())


AMBIGUOUS = {
    "two means": (("mean", "mu", "var"), ["'mean' and 'mu'", "--mean-key mean|mu"]),
    "two scales": (("mean", "var", "std"), ["'var' and 'std'", "--scale-key var|std"]),
    "vague scale": (("mean", "sigma"), ["'sigma'", "--scale var|std|logvar|logstd"]),
    "vague mean": (("latents_mean", "var"), ["'latents_mean'", "--mean-key latents_mean"]),
    "no names": (("arr_0", "arr_1"), ["--mean-key arr_0 --scale-key arr_1"]),
    "no mean": (("foo", "bar"), ["no key names a mean", "'foo' (80, 4)", "--mean-key KEY"]),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_keys_show_the_flag(say, npz, pair, case):
    keys, words = AMBIGUOUS[case]
    said = say("score", npz(**{key: pair[1] + i for i, key in enumerate(keys)}))
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("words", [(), ("--mean-key", "fc_mu.weight")])
def test_weights_of_a_network_are_not_scored(say, npz, words):
    weights = {
        f"fc_{name}.{kind}": np.eye(4) for name in ("mu", "var") for kind in ("weight", "bias")
    }
    said = say("score", npz(**weights), *words)
    assert "these are the weights of a network (4 arrays such as 'fc_mu.weight')" in said
    assert (
        "first dindic encode FILE --data IMAGES -o encodings.npz, for weights alone with" in said
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give FILE, or --mean"),
        (["--var", "v.npy"], "give FILE, or --mean"),
        (["good.npz", "--mean", "m.npy"], "either FILE or --mean, not both"),
        (["--mean", "m.npy", "--var", "v.npy", "--std", "v.npy"], "got var, std"),
        (["--mean", "good.npz", "--var", "v.npy"], "holds one array, and this one has 'mean'"),
        (["--mean", "nope.npy", "--var", "v.npy"], "nope.npy"),
        (["good.npz", "--mean-key", "nope"], "--mean-key nope is not in the file"),
        (["good.npz", "--scale-key", "nope"], "--scale-key nope is not in the file"),
        (["good.npz", "--scale", "sigma"], "'sigma' is not one of"),
        (["good.npz", "--layout", "rows"], "'rows' is not one of"),
        (["good.npz", "--factors", "nope"], "factors: 'nope' is neither a key nor a file"),
        (["good.npz", "--labels", "nope"], "labels: 'nope' is neither a key nor a file"),
        (["good.npz", "--clusters", "nope"], "clusters: 'nope' is neither a key nor a file"),
        (["good.npz", "--factor-names", "a"], "factor_names"),
        (["good.npz", "--labels", "short.npy"], "labels must have the shape (80,)"),
        (["good.npz", "--clusters", "short.npy"], "clusters must have the shape (80,)"),
        (["good.npz", "--factors", "short.npy"], "factors must have the shape (80, K)"),
        (["good.npz", "--factors", "v.npy", "--factor-names", "a,b"], "must be 4 names"),
        (["good.npz", "--threshold", "0"], "--threshold must be positive and finite; got 0"),
        (["good.npz", "--threshold", "-1"], "--threshold must be positive and finite; got -1"),
        (["good.npz", "--threshold", "nan"], "--threshold must be positive and finite; got nan"),
        (["good.npz", "--threshold", "x"], "'x' is not a valid float"),
        (["good.npz", "--threads", "x"], "'x' is not a valid integer"),
        (["good.npz", "--threads", "0"], "threads"),
        (["good.npz", "--prior-mean", "a,b"], "'a,b' is not a number"),
        (["good.npz", "--prior-mean", ""], "'' is not a number"),
        (["good.npz", "--prior-mean", "nan"], "--prior-mean must be finite; got nan"),
        (["good.npz", "--prior-mean", "1,2"], "--prior-mean must be one number or 4; got 2"),
        (["good.npz", "--prior-mean", "nope.npy"], "no such file: nope.npy"),
        (["good.npz", "--prior-mean", "text.npy"], "text.npy"),
        (["good.npz", "--prior-var", "0"], "--prior-var must be positive and finite; got 0"),
        (["good.npz", "--prior-var", "-1"], "--prior-var must be positive and finite; got -1"),
        (["good.npz", "--prior-var", "inf"], "--prior-var must be positive and finite; got inf"),
        (["good.npz", "--prior-mean", "0,0,0"], "--prior-mean must be one number or 4; got 3"),
        (["good.npz", "--prior-var", "1,1,1,1,1"], "--prior-var must be one number or 4; got 5"),
        (["good.npz", "--json", "-", "--csv", "-"], "can go to standard output"),
    ],
)
def test_bad_words(say, good, pair, words, message):
    np.save("m.npy", pair[0])
    np.save("v.npy", pair[1])
    np.save("short.npy", np.arange(79))
    Path("text.npy").write_text("hello")
    assert message in say("score", *words)


def test_a_bug_is_a_traceback_and_not_bad_input(dindic, good, monkeypatch):
    import disentangle_indicators

    for error in (TypeError("a bug"), np.linalg.LinAlgError("a bug"), AssertionError("a bug")):

        def broken(*_, error=error, **__):
            raise error

        monkeypatch.setattr(disentangle_indicators, "score", broken)
        with pytest.raises(type(error), match="a bug"):
            dindic("score", good)


def test_too_little_memory_has_its_own_exit_code(say, good, monkeypatch):
    import disentangle_indicators

    def full(*_, **__):
        raise MemoryError("Unable to allocate 305. MiB")

    monkeypatch.setattr(disentangle_indicators, "score", full)
    said = say("score", good, code=4)
    assert "good.npz: there is not enough memory (Unable to allocate 305. MiB)" in said


@pytest.mark.parametrize("name", ["OutOfMemoryError", "RuntimeError", "MemoryError"])
def test_too_little_memory_anywhere_has_its_own_exit_code(say, good, monkeypatch, name):
    """torch has an exception of its own for a GPU, and a plain one for the machine."""
    import disentangle_indicators

    kind = {"OutOfMemoryError": type(name, (RuntimeError,), {}), "RuntimeError": RuntimeError}
    text = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you "
    text += "tried to allocate 800 bytes. Error code 12 (Cannot allocate memory)\n"

    def full(*_, **__):
        raise kind.get(name, MemoryError)(text)

    monkeypatch.setattr(disentangle_indicators, "score", full)
    said = say("score", good, code=4)
    assert "there is not enough memory" in said
    assert "you tried to allocate 800 bytes" in said


def test_other_runtime_errors_are_bugs(dindic, good, monkeypatch):
    import disentangle_indicators

    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(disentangle_indicators, "score", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        dindic("score", good)


def test_what_the_bound_on_memory_refuses(say, npz, monkeypatch):
    """The command says it in options, and leaves with the exit code of too little memory."""
    rng = np.random.default_rng(0)
    file = npz("wide.npz", mean=rng.normal(size=(10_000, 8)), var=np.full((10_000, 8), 0.5))
    monkeypatch.setattr(_memory, "PROGRAM", 499_000_000)  # a megabyte is left
    said = say("axes", file, "--max-memory", "0.5GB", code=4)
    assert "holding 10000 rows of 8 latents" in said
    assert said.endswith("give --max-memory 0.6GB")
    assert _memory.room() == float("inf")
    said = say("axes", file, "--max-memory", "8e8")
    assert "'--max-memory': it must be at least 0.5GB, such as 4GB; got '8e8'" in said
