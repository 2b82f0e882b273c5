"""Which array is the mean where names are paths, several pairs are there, or the axes say more."""

import numpy as np
import pytest

from disentangle_indicators.encodings import AmbiguousEncodings, read_encodings

h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")


@pytest.fixture
def h5(tmp_path):
    """Save arrays by their paths, and return the file."""

    def save(arrays, suffix=".h5"):
        path = tmp_path / f"a{suffix}"
        with h5py.File(path, "w") as root:
            if suffix == ".h5ad":
                root.attrs["encoding-type"] = "anndata"
            for key, values in arrays.items():
                root[key] = values
        return path

    return save


def test_the_scale_is_taken_from_the_folder_of_the_mean(h5, pair):
    mean, var = pair
    path = h5(
        {f"z/{part}/{key}": x for part in ("a", "b") for key, x in (("mu", mean), ("var", var))}
    )
    with pytest.raises(AmbiguousEncodings, match="add mean_key='z/a/mu' or 'z/b/mu'$"):
        read_encodings(path)
    assert read_encodings(path, mean_key="z/b/mu").scale_key == "z/b/var"


def test_a_key_may_be_given_by_its_last_part(h5, pair):
    path = h5(
        {"z/code": pair[0], "z/width": pair[1], "y/kind": np.arange(23), "x/kind": [0.0] * 23}
    )
    encodings = read_encodings(path, mean_key="code", scale_key="width", scale="var")
    assert (encodings.mean_key, encodings.scale_key) == ("z/code", "z/width")
    with pytest.raises(ValueError, match="labels: 'kind' is neither a key nor a file"):
        read_encodings(path, mean_key="code", scale_key="width", scale="var", labels="kind")


SAME = "'obsm/X_latent_qzm' has the same numbers as 'obsm/scvi_latent_qzm'"
OTHER = "'obsm/X_latent_qzm' has other numbers: for these add mean_key='obsm/X_latent_qzm'"


@pytest.mark.parametrize(("shift", "words"), [(0, SAME), (1, OTHER)])
def test_of_two_pairs_of_scvi_tools_its_own_is_taken(h5, pair, shift, words):
    arrays = {
        "obsm/X_latent_qzm": pair[0] + shift,
        "obsm/X_latent_qzv": pair[1],
        "obsm/scvi_latent_qzm": pair[0],
        "obsm/scvi_latent_qzv": pair[1],
    }
    encodings = read_encodings(h5(arrays, ".h5ad"))
    assert encodings.mean_key == "obsm/scvi_latent_qzm"
    assert encodings.scale_key == "obsm/scvi_latent_qzv"
    assert any(words in note for note in encodings.notes)


def test_a_mean_with_a_scale_goes_before_means_alone(h5, pair):
    arrays = {
        "obsm/X_scVI": pair[0] + 1,
        "obsm/X_latent_qzm": pair[0],
        "obsm/X_latent_qzv": pair[1],
    }
    encodings = read_encodings(h5(arrays, ".h5ad"))
    assert encodings.mean_key == "obsm/X_latent_qzm"
    assert (
        "'obsm/X_latent_qzm' has a scale and is taken; 'obsm/X_scVI' has none" in encodings.notes
    )


def test_means_alone_of_scvi_tools(h5, pair):
    """In obsm, and with nothing of obs as their scale; the others there are no means."""
    arrays = {
        "obsm/X_scVI": pair[0],
        "obsm/X_pca": pair[0],
        "obsm/X_umap": pair[0],
        "obs/var": np.ones(23),
    }
    encodings = read_encodings(h5(arrays, ".h5ad"))
    assert (encodings.mean_key, encodings.scale) == ("obsm/X_scVI", "")
    (note,) = encodings.notes
    assert "model.get_latent_representation(return_dist=True)" in note


def test_one_of_several_models_is_asked_for(h5, pair):
    path = h5({"obsm/X_scVI": pair[0], "obsm/X_totalVI": pair[0], "obsm/X_pca": pair[0]}, ".h5ad")
    with pytest.raises(AmbiguousEncodings, match="mean_key='obsm/X_scVI' or 'obsm/X_totalVI'$"):
        read_encodings(path)


def lfads(h5):
    rng = np.random.default_rng(0)
    return h5(
        {
            f"{split}_{key}": rng.uniform(0.5, 1, (k, *shape))
            for split, k in (("train", 40), ("valid", 10))
            for key, shape in (
                ("ic_mean", (8,)),
                ("ic_std", (8,)),
                ("co_means", (20, 3)),
                ("co_stds", (20, 3)),
                ("factors", (20, 6)),
            )
        }
    )


def test_the_parts_of_lfads_are_asked_for(h5):
    keys = [f"{split}_{kind}" for split in ("train", "valid") for kind in ("co_means", "ic_mean")]
    with pytest.raises(AmbiguousEncodings) as caught:
        read_encodings(lfads(h5))
    assert str(caught.value).endswith(f"add mean_key={' or '.join(map(repr, keys))}")


def test_initial_conditions_of_lfads_have_a_prior_of_their_own(h5):
    path = lfads(h5)
    encodings = read_encodings(path, mean_key="valid_ic_mean")
    assert (encodings.n, encodings.scale_key, encodings.schema) == (10, "valid_ic_std", "LFADS")
    assert any("add prior_var= for another one" in note for note in encodings.notes)
    assert not read_encodings(path, mean_key="valid_ic_mean", prior_var=0.1).notes


def test_controller_outputs_of_lfads_have_their_latents_on_the_last_axis(h5):
    path = lfads(h5)
    encodings = read_encodings(path, mean_key="train_co_means")
    with h5py.File(path) as root:
        mean, std = root["train_co_means"][()], root["train_co_stds"][()]
    np.testing.assert_array_equal(encodings.mean, mean.reshape(800, 3))
    np.testing.assert_allclose(encodings.var, std.reshape(800, 3) ** 2, rtol=1e-15)
    np.testing.assert_array_equal(encodings.clusters, np.repeat(np.arange(40), 20))
    assert any("latents of 'train_co_means' on the last axis" in n for n in encodings.notes)
    flat = read_encodings(path, mean_key="train_co_means", layout="flatten")
    assert (flat.n, flat.d) == (40, 60)


@pytest.mark.parametrize("rows", [None, 1, 7, 1000])
def test_the_last_axis(npz, rows):
    mean = np.random.default_rng(0).normal(size=(5, 3, 2, 4))
    path = npz(mean=mean, logvar=mean - 1, labels=np.arange(5))
    encodings = read_encodings(path, layout="last")
    got = np.concatenate([block[0] for block in encodings.batches(rows)])
    np.testing.assert_array_equal(got, mean.reshape(30, 4))
    np.testing.assert_array_equal(encodings.labels, np.repeat(np.arange(5), 6))


def test_packed_on_the_last_axis(npz):
    both = np.random.default_rng(0).normal(size=(5, 3, 4))
    encodings = read_encodings(npz(z=both), packed="mean,logvar", layout="last")
    np.testing.assert_array_equal(encodings.mean, both[..., :2].reshape(15, 2))
    np.testing.assert_allclose(encodings.var, np.exp(both[..., 2:]).reshape(15, 2))
    assert encodings.mean_key == "z[:, :, :2]"
    with pytest.raises(ValueError, match="even number of entries on axis 2"):
        read_encodings(npz(z=both[..., :3]), packed="mean,logvar", layout="last")


@pytest.mark.parametrize(
    ("shape", "layout"), [((2, 30, 5), None), ((2, 30, 5), "channels"), ((9, 8, 4, 4), "channels")]
)
def test_an_array_that_may_be_packed_is_asked_for(tmp_path, shape, layout):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=shape))
    words = "add packed='mean,logvar' or 'mean,std'; if it is means alone, add mean_key='mean'$"
    with pytest.raises(AmbiguousEncodings, match=words):
        read_encodings(tmp_path / "a.npy", layout=layout)
    alone = read_encodings(tmp_path / "a.npy", layout=layout or "channels", mean_key="mean")
    assert alone.scale == ""


def test_a_table_of_an_even_width_has_a_note(tmp_path, pair):
    np.save(tmp_path / "a.npy", np.hstack(pair))
    assert any("packed='mean,logvar'" in n for n in read_encodings(tmp_path / "a.npy").notes)


def test_an_array_without_an_axis_of_samples(npz):
    image = np.random.default_rng(0).normal(size=(4, 8, 8))
    for path in (npz(latents=image), npz(latents=image[:3, :7], original_size=[16, 16])):
        with pytest.raises(ValueError, match="looks like one image .* without an axis of rows"):
            read_encodings(path, mean_key="latents", layout="channels")
    series = npz(latents=image[..., None])
    assert read_encodings(series, mean_key="latents", layout="channels").n == 32


def test_one_number_for_each_channel_is_no_posterior(npz):
    path = npz(mean=np.ones((1, 4, 1, 1)), std=np.ones((1, 4, 1, 1)))
    for layout in (None, "channels"):
        with pytest.raises(ValueError, match="one number for each channel"):
            read_encodings(path, layout=layout)


def test_only_what_may_be_a_scale_is_offered_as_one(npz, pair):
    notes = read_encodings(npz(mean=pair[0], mean_flip=pair[0])).notes
    assert not any("scale_key" in note for note in notes)
    notes = read_encodings(npz(mean=pair[0], enc_sigma=pair[1])).notes
    assert any("add scale_key='enc_sigma'" in note for note in notes)


def test_a_name_with_log_is_hinted_as_a_logarithm(npz, pair):
    with pytest.raises(AmbiguousEncodings, match="read as log(var|std)"):
        read_encodings(npz(mean=pair[0], log_sigma=pair[1]))


def test_objects_are_named_before_shapes_are_compared(tmp_path, pair):
    rows = np.empty(23, dtype=object)
    rows[:] = list(pair[0])
    np.savez(tmp_path / "a.npz", allow_pickle=True, mean=rows, logvar=pair[1])
    with pytest.raises(ValueError, match="'mean' holds Python objects"):
        read_encodings(tmp_path / "a.npz")
