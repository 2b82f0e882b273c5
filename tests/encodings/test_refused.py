"""Files that are something else: each is refused with what it is, and with what to do next."""

import numpy as np
import pytest

from disentangle_indicators.encodings import read_encodings


@pytest.fixture
def h5(tmp_path):
    """Write an HDF5 file by a function of its root, and return its path."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")

    def write(name, fill):
        with h5py.File(tmp_path / name, "w") as root:
            fill(root)
        return tmp_path / name

    return write


@pytest.mark.parametrize("table", ["obs", "obsm"])
def test_anndata_before_0_7(h5, table):
    def fill(root):
        root["X"] = np.ones((4, 3))
        root[table] = np.zeros(4, [("index", "S5"), ("X_latent_qzm", "f4", (2,))])

    match = r"old\.h5ad: .*before version 0\.7; .*anndata\.read_h5ad\(path\)\.write_h5ad"
    with pytest.raises(ValueError, match=match):
        read_encodings(h5("old.h5ad", fill))


@pytest.mark.parametrize("kind", ["frame", "frame_table"])
def test_tables_of_pandas_in_hdf5(h5, kind):
    def fill(root):
        group = root.create_group("df")
        group.attrs["pandas_type"] = kind
        group["block0_values"] = np.ones((4, 3))

    match = r"t\.h5: 'df' is a table that pandas wrote .*read_hdf\(path, 'df'\)\.to_csv\("
    with pytest.raises(ValueError, match=match):
        read_encodings(h5("t.h5", fill))


def test_links_that_lead_nowhere_are_no_old_tables(h5):
    h5py = pytest.importorskip("h5py")

    def fill(root):
        root["mean"] = np.eye(3)
        root["obs"] = h5py.SoftLink("/gone")

    assert read_encodings(h5("a.h5", fill)).n == 3


def test_images_are_to_be_encoded(tmp_path):
    images = np.zeros((4, 8, 8, 3), np.uint8)
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "b.npz", images=images.astype("f4"), labels=np.arange(4))
    np.savez(tmp_path / "c.npz", x=images)
    for name, key in (("a.npy", "mean"), ("b.npz", "images"), ("c.npz", "x")):
        match = rf"{name}: '{key}' .* looks like images, not encodings; encode these images"
        with pytest.raises(ValueError, match=match):
            read_encodings(tmp_path / name)


@pytest.mark.parametrize("name", ["config.json", "model_config.json", "model_index.json"])
def test_encodings_in_the_folder_of_a_model_are_named(tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    for file in (name, "model.pt", "history.csv"):
        (run / file).touch()
    with pytest.raises(ValueError, match=r"run: this is a folder of a model, .*model first$"):
        read_encodings(run)
    np.savez(run / "test.npz", mean=np.eye(3))
    with pytest.raises(ValueError, match=r"or give the encodings beside it, .*test\.npz$"):
        read_encodings(run)
