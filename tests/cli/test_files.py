"""Files as other tools write them: each gives its numbers, or the exact next step.

A copy of the most telling ones is in tests/data/files. DINDIC_FILES names a folder with all of them.
"""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dindic import main

FOLDERS = [Path(__file__).parents[1] / "data" / "files", Path(os.environ.get("DINDIC_FILES", "."))]

CELLS = {"n": 600, "d": 10, "used": 8, "rate": 7.121987, "information": 7.019359}
TABLE = {"n": 300, "d": 5, "used": 3, "rate": 5.747076, "information": 4.552961}
TORCH = {"n": 256, "d": 6, "used": 0, "rate": 0.122315, "information": 0.109129}
IMAGES = {"n": 4096, "d": 4, "used": 0, "rate": 0.269561, "information": 0.250735}

READ = {
    # of single cells
    "scvi/qzm_qzv_only.h5ad": CELLS,
    "scvi/qzm_qzv.h5ad": CELLS,
    "scvi/obsm_dataframe.h5ad": CELLS,
    "scvi/obsm_sparse.h5ad": CELLS,
    "scvi/qzm_qzv.zarr": CELLS,
    "scvi/minified.h5ad": CELLS,
    "scvi/minified_default.h5ad": CELLS,
    # tables
    "tables/wide_pandas.parquet": TABLE,
    "tables/wide_pandas_index.parquet": TABLE,
    "tables/wide_polars.parquet": TABLE,
    "tables/array_polars.parquet": TABLE,
    "tables/list_pandas.parquet": TABLE,
    "tables/fsl.parquet": TABLE,
    "tables/fsl.feather": TABLE,
    "tables/stream.arrows": TABLE,
    "tables/plain.csv": TABLE,
    "tables/plain.csv.gz": TABLE,
    "tables/r_write_csv.csv": TABLE,
    "tables/r_write_table.txt": TABLE,
    "tables/excel_semicolon.csv": TABLE,
    "tables/suffix.csv": TABLE,
    "tables/savetxt.csv --packed mean,logvar": TABLE,
    "tables/keras.csv": TABLE,
    "tables/pandas_index.csv": TABLE,
    "tables/plain.tsv": TABLE,
    # archives of numpy
    "tables/be.npz": TABLE,
    "tables/compressed.npz": TABLE,
    "tables/fortran.npz": TABLE,
    "tables/longdouble.npz": TABLE,
    # trees
    "tables/v2.zarr": TABLE,
    "tables/v3.zarr": TABLE,
    "tables/v3.zarr.zip": TABLE,
    "tables/v5.mat": TABLE,
    "tables/v5_struct.mat": TABLE,
    "tables/flat.hdf5": TABLE,
    "tables/generic.h5 --mean-key latents/test/mu": TABLE,
    "tables/lfads_output_sess.h5 --mean-key train_ic_mean --prior-var 0.1": {
        "n": 40,
        "d": 8,
        "used": 8,
        "rate": 35.254185,
        "information": 13.998242,
    },
    "tables/lfads_output_sess.h5 --mean-key train_co_means": {
        "n": 800,
        "d": 3,
        "used": 3,
        "rate": 3.160319,
        "information": 3.114491,
    },
    # several files
    "tables/folder": TABLE,
    "tables/shards/*.npz": TABLE,
    "diffusers/edm2 --packed mean,std --layout channels": {
        "n": 768,
        "d": 4,
        "used": 0,
        "rate": 0.266686,
        "information": 0.248061,
    },
    # torch
    "torch/dict.pt": TORCH,
    "torch/dict_requires_grad.pt": TORCH,
    "torch/nested.pt": TORCH,
    "torch/list_of_batches.pt": TORCH,
    "diffusers/moments.pt --layout channels --packed mean,logvar": IMAGES,
    "diffusers/latents_4d.npz --layout channels": IMAGES,
    "tables/moments.npy --packed mean,logvar": TABLE,
    "tables/wide16384.npz": {
        "n": 24,
        "d": 16384,
        "used": 16384,
        "rate": 73692.956636,
        "information": 73340.340793,
    },
}


NEEDS = {
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "torch"),
    **dict.fromkeys((".h5ad", ".h5", ".hdf5", ".nc"), "h5py"),
    **dict.fromkeys((".parquet", ".feather", ".arrows"), "pyarrow"),
    ".zarr": "zarr",
}
"""Packages that the files of an ending are read with, where they are extras."""


def found(words):
    """Return the words of a command line, with the path of the file first."""
    name, *more = words.split()
    needed = next((NEEDS[end] for end in Path(name).suffixes if end in NEEDS), None)
    if needed:
        pytest.importorskip(needed, reason=f"{needed} is not installed: {name} is NOT tested")
    pattern = name.replace("*", "?*")
    folder = next((f for f in FOLDERS if any(f.glob(pattern)) or (f / name).exists()), None)
    if folder is None:
        pytest.skip(f"no file {name}, which is NOT tested: set DINDIC_FILES")
    return [str(folder / name), *more]


def score(words, *more):
    return CliRunner().invoke(main, ["score", *found(words), "--no-marginals", *more])


def numbers(report):
    """Return what the table of expectations names."""
    return {
        "n": report["n"],
        "d": report["d"],
        "used": report["used"],
        "rate": report["kl_posterior_prior"],
        "information": report["mutual_information"],
    }


@pytest.mark.parametrize("words", READ)
def test_a_file_gives_its_numbers(words):
    done = score(words, "--json", "-")
    assert done.exit_code == 0, done.output
    got = numbers(json.loads(done.stdout))
    assert got == pytest.approx(READ[words], rel=2e-7, abs=1e-6)


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_half_precision_gives_nearly_the_numbers(half):
    done = score(f"diffusers/latents_4d_{half}.safetensors --layout channels", "--json", "-")
    assert done.exit_code == 0, done.output
    assert numbers(json.loads(done.stdout)) == pytest.approx(IMAGES, abs=2e-5)


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("scvi/minified.h5ad", "has the same numbers as 'obsm/scvi_latent_qzm'"),
        ("scvi/means_only.h5ad", "get_latent_representation(return_dist=True)"),
        ("tables/cat.npy", "add --packed mean,logvar|mean,std"),
        ("tables/savetxt.csv", "add --packed mean,logvar|mean,std"),
        ("tables/lfads_output_sess.h5 --mean-key train_ic_mean", "add --prior-var"),
    ],
)
def test_a_file_has_a_note(words, note):
    done = score(words)
    assert done.exit_code == 0, done.output
    assert note in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("scvi/scvi_model", "scvi_model/adata.h5ad"),
        ("tables/ragged.parquet", "'mean' must have one length; row 1"),
        ("tables/nulls.parquet", "'mean' has no value in row 1"),
        ("tables/lfads_output_sess.h5", "train_co_means|train_ic_mean|valid_co_means|valid_ic_me"),
        ("tables/generic.h5", "add --mean-key latents/test/mu|latents/train/mu"),
        (
            "tables/r_NA.csv",
            "row 3; pandas.read_csv(path).dropna().to_csv('complete.csv', index=False) leaves out",
        ),
        ("tables/z_only.csv", "add --mean-key z"),
        ("diffusers/kohya/*.npz", "add --mean-key latents"),
        ("tables/struct.npz", "np.savez(path, mean=enc['mean'])"),
        ("tables/xarray.nc", "xarray.open_dataset(path)"),
        ("tables/wide.jsonl", "pandas.read_json(path, lines=True)"),
        ("tables/dict.pkl", "a pickle may run code"),
        ("tables/dict.joblib", "a pickle may run code"),
        ("tables/dict_pickled.npy", "'mean' holds Python objects; re-save"),
        ("tables/object.npz", "'mean' holds Python objects; re-save"),
        ("diffusers/moments.pt --layout channels", "add --packed mean,logvar|mean,std"),
        ("diffusers/edm2", "add --packed mean,logvar|mean,std"),
        ("diffusers/latents_stats.pt", "one number for each channel"),
        (
            "diffusers/kohya/img0_0016x0016_sd.npz --mean-key latents --layout channels",
            "without an axis of rows",
        ),
        (
            "torch/torchscript.pt",
            "a TorchScript model, whose code is not run; first dindic encode",
        ),
        ("torch/lightning.ckpt", "(argparse.Namespace), which are not loaded"),
        ("torch/train_checkpoint.pth", "weights of a network"),
        ("torch/whole_module.pt", "(my_model.Encoder, "),
        ("torch/distribution.pt", "(torch.distributions.normal.Normal), which are not loaded"),
        ("torch/images.npz", "looks like images, not encodings; first dindic encode MODEL --data"),
        ("torch/encoder.onnx", "this is a network, not encodings; first dindic encode"),
        ("torch/hf", "this is a folder of a model, not of encodings; first dindic encode MODEL"),
        ("torch/pythae_betavae", "this is a folder of a model, not of encodings"),
        ("torch/tuple.pt", "add --mean-key 0 --scale-key 1 --scale var|std|logvar|logstd"),
        ("diffusers/images.npy", "looks like images, not encodings"),
        ("diffusers/pipeline", "this is a folder of a model, not of encodings"),
        ("diffusers/vae_kl", "this is a folder of a model, not of encodings"),
        ("tables/positional.npz", "add --mean-key arr_0 --scale-key arr_1 --scale var|std|logvar"),
        ("tables/moments.npy", "add --packed mean,logvar|mean,std"),
        ("tables/f2_var.npz", "an exact zero is an underflow: export the logarithm"),
    ],
)
def test_a_file_is_answered_with_the_next_step(words, message):
    done = score(words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "weights_only" not in done.output


def test_labels_across_row_groups():
    done = score("tables/fsl.parquet --labels species", "--json", "-")
    (labels,) = json.loads(done.stdout)["factors"]
    assert labels == {"name": "labels", "kind": "categorical", "values": 3, "missing": 0}


def test_shards_with_factors():
    done = score("tables/shards/*.npz", "--json", "-")
    assert len(json.loads(done.stdout)["factors"]) == 2


def test_columns_of_obs_and_their_missing_values():
    done = score("scvi/qzm_qzv_only.h5ad --factors cell_type,batch")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "cell_type (categorical, 4 values, 1 missing), batch (categorical, 2 values)" in said


def test_text_of_a_compressed_table_is_a_factor():
    done = score("tables/plain.csv.gz --factors shape,species", "--json", "-")
    _, species = json.loads(done.stdout)["factors"]
    assert (species["kind"], species["values"]) == ("categorical", 3)
