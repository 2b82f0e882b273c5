"""MATLAB files of all versions, and other HDF5 behind a user block."""

import numpy as np
import pytest

from disentangle_indicators.encodings import read_encodings
from disentangle_indicators.encodings.formats import open_file

h5py = pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is NOT tested")


def test_a_matlab_file_of_version_7_3_has_its_axes_turned(tmp_path, pair):
    path = with_user_block(
        tmp_path / "a.mat",
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64",
        {"mu": pair[0].T, "var": pair[1].T, "labels": np.arange(23)[None], "#refs#/a": [1]},
    )
    encodings = read_encodings(path, labels="labels")
    np.testing.assert_array_equal(encodings.mean, pair[0])
    np.testing.assert_array_equal(encodings.labels, np.arange(23))


def test_text_in_cells_of_a_matlab_file_of_version_7_3(tmp_path, pair):
    """Cells are references to arrays of character codes, which are stored the other way round too."""
    path = tmp_path / "a.mat"
    words = ["", "größe", "b"] * 8
    with h5py.File(path, "w", userblock_size=512) as root:
        root["mu"] = pair[0].T
        cells = []
        for i, word in enumerate(words[:23]):
            codes = [ord(letter) for letter in word] or [0, 0]
            node = root.create_dataset(f"#refs#/{i}", data=np.array(codes, "u2")[:, None])
            node.attrs["MATLAB_class"] = np.bytes_("char")
            if not word:
                node.attrs["MATLAB_empty"] = 1
            cells.append(node.ref)
        cells = np.array(cells, dtype=h5py.ref_dtype)[None]
        root.create_dataset("kind", data=cells, dtype=h5py.ref_dtype)
        root.create_dataset("mixed", data=np.array([[root["mu"].ref]], h5py.ref_dtype))
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file")
    assert read_encodings(path, labels="kind").labels.tolist() == words[:23]
    with pytest.raises(ValueError, match=r"a\.mat: 'mixed' holds references to other than text"):
        read_encodings(path, labels="mixed")


def with_user_block(path, text, arrays):
    """Write an HDF5 file behind 512 bytes that begin with this text."""
    with h5py.File(path, "w", userblock_size=512) as root:
        for name, values in arrays.items():
            root[name] = values
    with open(path, "r+b") as stream:
        stream.write(text)
    return path


@pytest.mark.parametrize("text", [b"MuData (format-version=0.1.0;creator=muon)", b""])
def test_a_user_block_before_hdf5_turns_no_axes(tmp_path, pair, text):
    """mudata writes one into each .h5mu file."""
    arrays = {"mod/rna/obsm/X_latent_qzm": pair[0], "mod/rna/obsm/X_latent_qzv": pair[1]}
    path = with_user_block(tmp_path / "a.h5mu", text, arrays)
    np.testing.assert_array_equal(read_encodings(path).mean, pair[0])


def test_a_structure_text_and_objects_of_matlab(tmp_path, pair):
    from scipy.io import savemat

    cells = np.empty((23, 1), dtype=object)
    cells[:, 0] = ["odd" if i % 2 else "even" for i in range(23)]
    mixed = np.empty((1, 2), dtype=object)
    mixed[0, :] = [np.ones(2), "a"]
    values = {"z": {"mu": pair[0], "var": pair[1]}, "kind": cells, "mixed": mixed}
    savemat(tmp_path / "a.mat", values)
    encodings = read_encodings(tmp_path / "a.mat", factors="kind")
    np.testing.assert_array_equal(encodings.var, pair[1])
    assert encodings.factors.classes == (("even", "odd"),)
    with pytest.raises(ValueError, match=r"a\.mat: 'mixed' is an object or a cell array"):
        read_encodings(tmp_path / "a.mat", labels="mixed")


def test_an_array_of_objects_in_matlab_that_lies_about_its_size(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"mean": np.zeros((10**7, 4))}, do_compression=True)
    with pytest.raises(ValueError, match=r"a\.mat.*announces 0\.32 GB"):
        open_file(tmp_path / "a.mat")
