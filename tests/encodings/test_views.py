"""Arrays in other shapes than (n, d): packed, repeated and transposed ones."""

import numpy as np
import pytest

from disentangle_indicators import score
from disentangle_indicators.encodings import (
    AmbiguousEncodings,
    read_encodings,
    spread_of_channels,
    write_encodings,
)
from disentangle_indicators.posteriors import Encodings

VAR = {
    "var": lambda x: x,
    "std": np.square,
    "logvar": np.exp,
    "logstd": lambda x: np.exp(2 * x),
}
rng = np.random.default_rng(2)
MEAN = rng.normal(size=(20, 4, 8, 8))
SCALE = rng.uniform(0.1, 0.5, size=MEAN.shape)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("scale", VAR)
@pytest.mark.parametrize("layout", ["channels", "flatten"])
def test_packed_moments(npz, scale, first, layout):
    """Half of the channels of a cache of latents are log variances, and were read as latents."""
    parts = (MEAN, SCALE) if first else (SCALE, MEAN)
    packed = f"mean,{scale}" if first else f"{scale},mean"
    path = npz(moments=np.concatenate(parts, axis=1), labels=np.arange(20))
    found = read_encodings(path, packed=packed, layout=layout)
    got = found.mean, found.var, *list(found.batches(7))[-1]
    whole = read_encodings(npz(mean=MEAN, **{scale: SCALE}), layout=layout)
    expected = whole.mean, whole.var, *list(whole.batches(7))[-1]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.scale == scale
    assert "'moments[:, :4]'" in found.source


def test_packed_tables(any_format, pair):
    path = any_format(z=np.hstack([pair[0], np.log(pair[1])]))
    found = read_encodings(path, packed="mean,logvar")
    np.testing.assert_allclose(found.var, pair[1], rtol=1e-14)
    np.testing.assert_array_equal(found.mean, pair[0])


def test_a_packed_npy_file(tmp_path, pair):
    np.save(tmp_path / "a.npy", np.hstack(pair))
    for file in ({"path": tmp_path / "a.npy"}, {"mean": tmp_path / "a.npy"}):
        found = read_encodings(**file, packed="mean,var")
        np.testing.assert_array_equal(found.var, pair[1])


def test_a_stack_of_means_and_scales(npz, pair):
    path = npz(mean=np.stack(pair))
    with pytest.raises(
        AmbiguousEncodings, match=r"stacked, add packed='mean,logvar' or 'mean,std';"
    ):
        read_encodings(path)
    found = read_encodings(path, packed="mean,std")
    np.testing.assert_array_equal(found.mean, pair[0])
    np.testing.assert_array_equal(np.concatenate([v for _, v in found.batches(4)]), pair[1] ** 2)


@pytest.mark.parametrize("name", ["moments", "parameters", "Moments"])
def test_moments_are_no_means(npz, name):
    with pytest.raises(AmbiguousEncodings, match="add packed='mean,logvar' or 'mean,std'$"):
        read_encodings(npz(**{name: MEAN}))


def test_a_lone_array_may_be_packed(npz, pair):
    (note,) = read_encodings(npz(mean=pair[0][:, :2])).notes
    assert note.endswith("add packed='mean,logvar' or 'mean,std'")
    (note,) = read_encodings(npz(mean=pair[0])).notes
    assert "packed" not in note


def test_what_packed_excludes(npz, pair):
    path = npz(mean=pair[0], z=pair[0])
    for words in ("mean", "logvar", "mean,mean", "var,std", "mean,sigma", "", "mean,var,std"):
        with pytest.raises(ValueError, match="packed must be mean,SCALE"):
            read_encodings(path, packed=words)
    with pytest.raises(ValueError, match=r"even number .* 'mean' \(23, 3\)"):
        read_encodings(path, packed="mean,var")
    with pytest.raises(ValueError, match="excludes"):
        read_encodings(path, packed="mean,var", scale="var")
    with pytest.raises(ValueError, match="mean_key='y' is not in the file"):
        read_encodings(path, mean_key="y", packed="mean,var")
    with pytest.raises(AmbiguousEncodings, match="add mean_key='a' or 'b'$"):
        read_encodings(npz(a=pair[0], b=pair[1]), packed="mean,var")


@pytest.mark.parametrize("prior", [{}, {"prior_mean": 1.0, "prior_var": 4.0}])
def test_the_spread_of_channels(npz, prior):
    """Latent diffusion composes its scaling factor from these numbers."""
    mean = 5.5 * MEAN + np.arange(4)[:, None, None]
    var = SCALE**2
    found = read_encodings(
        npz(latents=mean, std=SCALE), mean_key="latents", layout="channels", **prior
    )
    std = np.sqrt(mean.var(axis=(0, 2, 3)) + var.mean(axis=(0, 2, 3)))
    whole = 1 / np.sqrt(mean.var() + var.mean())
    shown = ", ".join(f"{s:.4g}" for s in std)
    assert spread_of_channels(found) == (
        f"standard deviation of each channel: {shown}; 1 / that of all entries = {whole:.4g}"
    )


def test_the_spread_of_many_channels_of_means(npz):
    mean = np.repeat(MEAN, 5, axis=1) * np.arange(1, 21)[:, None, None]
    std = mean.std(axis=(0, 2, 3))
    found = spread_of_channels(read_encodings(npz(mean=mean), mean_key="mean", layout="channels"))
    assert f"{std.min():.4g} to {std.max():.4g} in 20 channels; " in found
    assert found.endswith(f"= {1 / mean.std():.4g}")


WIDTHS = {
    "(n, 1)": (lambda v: v[:, :1], "row"),
    "(n,)": (lambda v: v[:, 0], "row"),
    "(1, d)": (lambda v: v[:1], "latent"),
    "(d,)": (lambda v: v[0], "latent"),
    "(1,)": (lambda v: v[0, :1], "all"),
    "()": (lambda v: v[0, 0], "all"),
}


@pytest.mark.parametrize("case", WIDTHS)
@pytest.mark.parametrize("scale", VAR)
def test_fewer_widths_than_means_are_repeated(npz, pair, case, scale):
    """One width for each row, for each latent or for all: said in a note, in files and arrays."""
    cut, word = WIDTHS[case]
    mean, values = pair
    few = cut(values)
    whole = np.broadcast_to(few[:, None] if few.shape == (23,) else few, mean.shape)
    for found in (
        read_encodings(npz(mean=mean, **{scale: few})),
        Encodings.of(mean, **{scale: few}),
    ):
        np.testing.assert_allclose(found.var, VAR[scale](whole), rtol=1e-14)
        np.testing.assert_array_equal(
            np.concatenate([var for _, var in found.batches(5)]), found.var
        )
        (note,) = [note for note in found.notes if "WARNING" not in note]
        assert f"one width for {'all' if word == 'all' else f'each {word}'}" in note


def test_a_float_is_a_width(pair):
    expected = score(pair[0], var=np.full((23, 3), 0.25))
    card = score(pair[0], std=0.5)
    assert card.mutual_information == expected.mutual_information
    assert card.notes[0] == "std has the shape (): one width for all rows and latents"


def test_widths_of_torch_are_repeated(pair):
    torch = pytest.importorskip("torch")
    mean = torch.from_numpy(pair[0])
    for values in (
        0.25,
        np.float32(0.25),
        torch.full((23,), 0.25, dtype=mean.dtype),
        torch.tensor(0.25),
    ):
        assert Encodings.of(mean, var=values).var.shape == (23, 3)


def test_a_width_for_rows_or_for_latents_is_refused(npz):
    mean, width = np.eye(3) + 1.0, np.array([0.1, 0.2, 0.3])
    rule = r"one width for each row or one for each latent.*\(3, 1\) for rows, or \(1, 3\) for"
    with pytest.raises(ValueError, match=rf"npz: 'std' has the shape \(3,\): {rule}"):
        read_encodings(npz(mean=mean, std=width))
    with pytest.raises(ValueError, match=rf"std has the shape \(3,\): {rule}"):
        Encodings.of(mean, std=width)
    assert Encodings.of(mean, std=width[None, :]).var[0, 1] == 0.2**2
    assert Encodings.of(mean, std=width[:, None]).var[1, 0] == 0.2**2


def test_widths_of_images_are_repeated(npz):
    for width in (SCALE[:, 0, 0, 0], SCALE[0, :, 0, 0]):
        found = read_encodings(npz(mean=MEAN, var=width), layout="channels")
        at = 3 if len(width) == 20 else 2
        assert np.all(found.var.reshape(20, 64, 4)[3, :, 2] == width[at])


def test_a_vague_name_of_another_shape_is_of_the_data_set(npz, pair):
    """latents_std often is one standard deviation of all rows for each latent."""
    assert read_encodings(npz(mean=pair[0], latents_std=pair[1][0])).scale == ""
    path = npz(mean=pair[0], sigma=pair[1][:, 0])
    assert read_encodings(path, scale_key="sigma", scale="std").var[4, 1] == pair[1][4, 0] ** 2


def test_the_mean_and_std_of_the_data_set_are_no_widths(npz, pair):
    """They lie beside encodings in caches, and would be one width for each latent."""
    path = npz(mu=pair[0], mean=pair[0][0], std=pair[1][0])
    with pytest.raises(AmbiguousEncodings, match="add mean_key='mu' scale_key='std'$"):
        read_encodings(path)
    found = read_encodings(path, mean_key="mu", scale_key="std")
    np.testing.assert_array_equal(found.var[3], pair[1][0] ** 2)


def test_one_width_is_written_for_each_entry(tmp_path, pair):
    path = write_encodings(tmp_path / "a.npz", pair[0], std=pair[1][:, :1])
    assert read_encodings(path).var[5, 2] == pytest.approx(pair[1][5, 0] ** 2)


def test_a_transposed_table(any_format, pair):
    path = any_format(mean=pair[0].T.copy(), var=pair[1].T.copy())
    (note,) = read_encodings(path).notes
    assert note.startswith("there are fewer rows (3) than latents (23): if rows and columns are")
    assert note.endswith("add layout='transposed'")
    found = read_encodings(path, layout="transposed")
    assert (found.n, found.d, found.notes) == (23, 3, ())
    np.testing.assert_array_equal(found.mean, pair[0])
    np.testing.assert_array_equal(np.concatenate([v for _, v in found.batches(5)]), pair[1])


@pytest.mark.parametrize("what", ["factors", "labels", "clusters"])
def test_a_transposed_table_beside_factors(npz, pair, what):
    """The factors have as many rows as the table has columns."""
    column = np.arange(23) % 4
    path = npz(mean=pair[0].T, var=pair[1].T, column=column)
    with pytest.raises(ValueError, match=rf"npz: {what} must have 3 rows.*layout='transposed'$"):
        read_encodings(path, **{what: "column"})
    assert read_encodings(path, layout="transposed", **{what: "column"}).n == 23
    with pytest.raises(ValueError, match=rf"{what} must have 3 rows.*swapped, give mean\.T$"):
        Encodings.of(pair[0].T, pair[1].T, **{what: column})
    (note,) = Encodings.of(pair[0].T, pair[1].T).notes
    assert note.endswith("swapped, give mean.T")


def test_transposed_factors(pair):
    with pytest.raises(
        ValueError, match=r"factors must have 23 rows; .*\(2, 23\): give the transpose"
    ):
        Encodings.of(*pair, factors=np.zeros((2, 23)))
