"""Which key is what: the tables of names, one row a name."""

import numpy as np
import pytest

from disentangle_indicators.encodings import AmbiguousEncodings, read_encodings
from disentangle_indicators.encodings.names import SCHEMAS, role

MEANS = [
    *("mean", "mu", "mus", "loc", "z_mean", "z_loc", "qzm", "qz_m", "latent_qzm", "embedding"),
    *("ic_mean", "post_mean", "m_q"),
]
SCALES = {
    "var": ["var", "variance", "qzv", "qz_v", "latent_qzv"],
    "std": ["std", "stddev", "z_std", "ic_std", "co_stds"],
    "logvar": [
        *("logvar", "log_var", "z_log_var", "z_logvar", "log_covariance", "log_sigma_x2"),
        "post_logvar",
    ],
    "logstd": ["logstd", "log_std", "z_log_std"],
}
AMBIGUOUS = [
    *("scale", "z_scale", "sigma", "log_sigma", "z_log_sigma", "logs", "logs_q", "cov"),
    *("tree_var", "mol_var", "latents_std"),
]
PREFIXES = [
    *("", "X_", "_", "scvi_", "scanvi_", "totalvi_", "multivi_", "ldvae_", "_scvi_", "X_scvi_"),
    *("x_", "SCVI_"),
]
VAR = {
    "var": lambda x: x,
    "std": np.square,
    "logvar": np.exp,
    "logstd": lambda x: np.exp(2 * x),
}
ASK_SCALE = "add scale='var' or 'std' or 'logvar' or 'logstd'"


@pytest.mark.parametrize("name", MEANS)
def test_mean_aliases(npz, pair, name):
    for key in (name, name.upper()):
        encodings = read_encodings(npz(**{key: pair[0], "weights": pair[1][0]}))
        assert encodings.mean_key == key
        np.testing.assert_array_equal(encodings.mean, pair[0])


@pytest.mark.parametrize(("scale", "name"), [(s, name) for s in SCALES for name in SCALES[s]])
def test_scale_aliases(npz, pair, scale, name):
    for key in (name, name.title()):
        encodings = read_encodings(npz(**{"loc": pair[0], key: pair[1]}))
        assert (encodings.scale_key, encodings.scale, encodings.schema) == (key, scale, "name")
        np.testing.assert_allclose(encodings.var, VAR[scale](pair[1]), rtol=1e-14)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_scales(npz, pair, name):
    path = npz(**{"mean": pair[0], name: pair[1]})
    with pytest.raises(AmbiguousEncodings) as caught:
        read_encodings(path)
    assert repr(name) in str(caught.value)
    assert str(caught.value).endswith(ASK_SCALE)
    for scale in SCALES:
        encodings = read_encodings(path, scale=scale)
        assert (encodings.scale, encodings.schema) == (scale, "flag")
        np.testing.assert_allclose(encodings.var, VAR[scale](pair[1]), rtol=1e-14)


def test_ambiguous_mean(npz, pair):
    path = npz(latents_mean=pair[0], logvar=pair[1])
    with pytest.raises(AmbiguousEncodings, match="mean_key='latents_mean'$"):
        read_encodings(path)
    assert read_encodings(path, mean_key="latents_mean").scale == "logvar"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(npz, pair, prefix):
    encodings = read_encodings(
        npz(**{f"{prefix}latent_qzm": pair[0], f"{prefix}latent_qzv": pair[1]})
    )
    assert encodings.schema == "scvi-tools"
    assert encodings.scale == "var"
    assert role(f"{prefix}sigma") == "ambiguous scale"


@pytest.mark.parametrize("key", ["__{}__", "__{}", "_{}_"])
def test_underscores_around_a_name(npz, pair, key):
    encodings = read_encodings(npz(**{key.format("mu"): pair[0], key.format("logstd"): pair[1]}))
    assert (encodings.mean_key, encodings.scale) == (key.format("mu"), "logstd")


@pytest.mark.parametrize("name", ["weights", "meaning", "sigma2", "my_mean", "X_pca", "__dict__"])
def test_other_names_mean_nothing(name):
    assert role(name) is None


@pytest.mark.parametrize("names", SCHEMAS)
def test_schemas(npz, pair, names):
    library, scale = SCHEMAS[names][:2]
    encodings = read_encodings(npz(**dict(zip(names, pair, strict=True))))
    assert (encodings.schema, encodings.scale) == (library, scale)
    assert f"(schema: {library})" in encodings.source
    np.testing.assert_allclose(encodings.var, VAR[scale](pair[1]), rtol=1e-14)


def test_a_schema_picks_the_partner_of_the_mean(npz, pair):
    mean, var = pair
    path = npz(train_ic_mean=mean, train_ic_std=var, co_means=mean + 1, co_stds=var + 1, std=var)
    encodings = read_encodings(path, mean_key="train_ic_mean")
    assert (encodings.scale_key, encodings.schema) == ("train_ic_std", "LFADS")
    other = read_encodings(path, mean_key="train_ic_mean", scale="logvar")
    assert other.scale_key == "train_ic_std"
    assert any("its name means std" in note for note in other.notes)


def test_describe(npz, pair):
    encodings = read_encodings(npz(mu=pair[0], logvar=pair[1]))
    expected = "mean from 'mu', variance = exp('logvar') (schema: names), 23 rows x 3 latents"
    assert encodings.source == expected


@pytest.mark.parametrize(
    ("scale", "formula"),
    [("var", "'s'"), ("std", "'s'^2"), ("logvar", "exp('s')"), ("logstd", "exp(2 's')")],
)
def test_describe_by_flag(npz, pair, scale, formula):
    encodings = read_encodings(npz(m=pair[0], s=pair[1]), mean_key="m", scale_key="s", scale=scale)
    assert f"variance = {formula} (schema: flag)" in encodings.source


def test_two_means(npz, pair):
    with pytest.raises(AmbiguousEncodings, match=r"'mu' and 'z_mean'.*mean_key='mu' or 'z_mean'$"):
        read_encodings(npz(mu=pair[0], z_mean=pair[0] + 1, var=pair[1]))


def test_a_vector_for_the_data_set_is_no_second_mean(npz, pair):
    assert read_encodings(npz(mean=pair[0][0], mu=pair[0], var=pair[1])).mean_key == "mu"


def test_two_scales(npz, pair):
    path = npz(mean=pair[0], std=pair[1], logvar=pair[1])
    with pytest.raises(AmbiguousEncodings, match="scale_key='std' or 'logvar'$"):
        read_encodings(path)
    assert read_encodings(path, scale_key="std").scale == "std"
    assert read_encodings(path, scale="logvar").scale_key == "logvar"


def test_an_ambiguous_name_beside_a_clear_one(npz, pair):
    with pytest.raises(AmbiguousEncodings, match="scale_key='std' or 'sigma'$"):
        read_encodings(npz(mean=pair[0], std=pair[1], sigma=pair[1]))
    assert read_encodings(npz(mean=pair[0], std=pair[1], scale=np.float64(0.18))).scale == "std"


def test_flags_win_over_names(npz, pair):
    path = npz(mean=pair[0], var=-pair[1], other=pair[1])
    encodings = read_encodings(path, scale="logvar")
    np.testing.assert_allclose(encodings.var, np.exp(-pair[1]))
    assert "though its name means var" in encodings.notes[0]
    with pytest.raises(AmbiguousEncodings, match="'other'.*scale="):
        read_encodings(path, scale_key="other")
    assert read_encodings(path, scale_key="other", scale="std").notes == ()


def test_the_hint_is_a_hint(npz):
    rng = np.random.default_rng(0)
    mean = rng.normal(scale=0.6, size=(5000, 4))
    with pytest.raises(
        AmbiguousEncodings, match=r"read as std, .* would be (0\.99\d*|1|1\.0\d?)\)"
    ):
        read_encodings(npz(mean=mean, sigma=np.full(mean.shape, 0.8)))


def test_the_only_table_is_offered_as_the_mean(npz, pair):
    with pytest.raises(ValueError, match="add mean_key='latents'$"):
        read_encodings(npz(latents=pair[0], y=np.arange(23)))


def test_no_mean_lists_the_keys(npz):
    path = npz(weights=np.zeros((4, 2), dtype="f4"), bias=np.zeros(3))
    with pytest.raises(ValueError, match=r"'weights' \(4, 2\) float32, 'bias' \(3,\) float64"):
        read_encodings(path)


def test_unnamed_arrays(tmp_path, pair):
    np.savez(tmp_path / "a.npz", *pair)
    with pytest.raises(AmbiguousEncodings, match="mean_key='arr_0' scale_key='arr_1' scale='var'"):
        read_encodings(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_bare_tuple(tmp_path, pair, kind):
    torch = pytest.importorskip("torch")
    torch.save(kind(torch.from_numpy(a) for a in pair), tmp_path / "a.pt")
    with pytest.raises(AmbiguousEncodings, match="mean_key='0' scale_key='1' scale='var'"):
        read_encodings(tmp_path / "a.pt")
    encodings = read_encodings(tmp_path / "a.pt", mean_key="0", scale_key="1", scale="var")
    np.testing.assert_array_equal(encodings.var, pair[1])


@pytest.mark.parametrize("flag", ["mean_key", "scale_key"])
def test_a_key_that_is_not_there(npz, pair, flag):
    with pytest.raises(ValueError, match="'nope' is not in the file; it has 'mean'"):
        read_encodings(npz(mean=pair[0]), **{flag: "nope"})


def test_an_unknown_scale(npz, pair):
    with pytest.raises(ValueError, match="scale must be one of"):
        read_encodings(npz(mean=pair[0], var=pair[1]), scale="precision")


def test_a_scale_flag_without_a_scale(npz, pair):
    with pytest.raises(AmbiguousEncodings, match="add scale_key='KEY'$"):
        read_encodings(npz(mean=pair[0], thing=pair[1]), scale="std")


def test_an_unnamed_scale_of_the_right_shape_is_offered(npz, pair):
    (note,) = read_encodings(npz(mean=pair[0], spread=pair[1])).notes
    assert "add scale_key='spread' scale='var' or" in note


@pytest.mark.parametrize("name", ["std", "cov"])
def test_a_scale_of_another_shape(npz, pair, name):
    with pytest.raises(ValueError, match="shape of the mean"):
        read_encodings(npz(**{"mean": pair[0], name: np.ones((23, 3, 3))}))


def test_text_is_no_scale(npz, pair):
    path = npz(mean=pair[0], std=pair[1], scale=np.array("std"), var=np.array(["a"] * 23))
    assert read_encodings(path).scale_key == "std"


@pytest.mark.parametrize("scale", ["var", "std", "logvar", "logstd"])
def test_native_metadata(hand_made, pair, scale):
    raw = {"mean": ("F64", (23, 3), pair[0].tobytes()), scale: ("F64", (23, 3), pair[1].tobytes())}
    raw["std" if scale != "std" else "var"] = raw[scale]
    path = hand_made(raw, {"format": "dindic.encodings/1", "scale": scale})
    encodings = read_encodings(path)
    assert (encodings.scale, encodings.schema) == (scale, "native")
    assert read_encodings(path, scale_key=scale, scale="std").schema == "flag"


@pytest.mark.parametrize("scale", ["std", "precision"])
def test_native_metadata_that_lie(hand_made, pair, scale):
    raw = {"mean": ("F64", (23, 3), pair[0].tobytes())}
    path = hand_made(raw, {"format": "dindic.encodings/1", "scale": scale})
    with pytest.raises(ValueError, match="the metadata say"):
        read_encodings(path)


def _network():
    torch = pytest.importorskip("torch")
    layers = {
        "fc_mu": torch.nn.Linear(8, 4),
        "fc_logvar": torch.nn.Linear(8, 4),
        "bn": torch.nn.BatchNorm1d(4),
        "attention": torch.nn.MultiheadAttention(4, 1),
        "lstm": torch.nn.LSTM(4, 4),
    }
    return torch.nn.ModuleDict(layers).state_dict()


@pytest.mark.parametrize("name", ["a.pt", "lightning.ckpt", "a.safetensors", "a.npz"])
def test_weights_of_a_network_are_no_encodings(tmp_path, name):
    """Their table was scored when the advice to add a key was followed."""
    torch, state = pytest.importorskip("torch"), _network()
    path = tmp_path / name
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    elif path.suffix == ".npz":
        np.savez(path, **{key: tensor.numpy() for key, tensor in state.items()})
    else:
        ckpt = {"state_dict": state, "epoch": 3, "optimizer_states": [{"lr": 1e-3}]}
        torch.save(ckpt if path.suffix == ".ckpt" else state, path)
    key = f"{'state_dict/' * (path.suffix == '.ckpt')}fc_mu.weight"
    for flags in (
        {},
        {"mean_key": key},
        {"mean_key": key, "scale_key": key.replace("mu", "logvar")},
    ):
        with pytest.raises(
            ValueError,
            match=rf"{name}: these are the weights of a network.*"
            "run its encoder first",
        ) as caught:
            read_encodings(path, **flags)
        assert "add mean_key=" not in str(caught.value)


def test_posteriors_that_are_weights_must_be_asked_for_twice(npz, pair):
    path = npz(**{"mu.weight": pair[0], "logvar.weight": pair[1]})
    with pytest.raises(ValueError, match="weights of a network"):
        read_encodings(path, mean_key="mu.weight")
    flags = {"mean_key": "mu.weight", "scale_key": "logvar.weight", "scale": "logvar"}
    np.testing.assert_array_equal(read_encodings(path, **flags).mean, pair[0])


def test_a_mean_among_weights(npz, pair):
    """A buffer of the network for its input may be called so, and encodings may lie beside it."""
    path = npz(mean=pair[0], **{f"conv.{i}.weight": pair[1] for i in range(9)})
    with pytest.raises(ValueError, match="if 'mean' contains encodings, add mean_key='mean'$"):
        read_encodings(path)
    assert read_encodings(path, mean_key="mean").mean_key == "mean"
    few = npz(mu=pair[0], logvar=pair[1], weight=pair[0], sample_weight=pair[0][:, 0])
    assert read_encodings(few).mean_key == "mu"


def test_a_folder_of_a_model(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    with pytest.raises(
        ValueError, match=r"run: this is a folder of a model, .*encode data with the model first"
    ):
        read_encodings(tmp_path / "run")


def test_a_dict_in_a_dict(tmp_path, pair):
    torch = pytest.importorskip("torch")
    tensors = dict(zip(("mu", "logvar"), map(torch.from_numpy, pair), strict=True))
    torch.save({"epoch": 3, "z": tensors}, tmp_path / "a.pt")
    encodings = read_encodings(tmp_path / "a.pt")
    assert (encodings.mean_key, encodings.scale_key, encodings.scale) == (
        "z/mu",
        "z/logvar",
        "logvar",
    )
    torch.save({"train": tensors, "test": tensors}, tmp_path / "a.pt")
    with pytest.raises(AmbiguousEncodings, match="mean_key='train/mu' or 'test/mu'$"):
        read_encodings(tmp_path / "a.pt")
