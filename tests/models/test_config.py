"""Settings: what is refused, and in which words; files of settings; streams of seeds."""

import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models.config import (
    PRECISIONS,
    STARTING,
    STREAMS,
    Config,
    make_model,
    make_noise,
    read_toml,
    seed_of,
    seeds_of,
    settings,
    starting_values,
)
from dindic_models.networks import INITIALISATIONS, NETWORKS
from dindic_models.noise import FLOOR, NETWORK_FLOOR, NOISES, LearnedGaussian
from dindic_models.vae import ACTIVATIONS

CHOICES = {
    "network": NETWORKS,
    "activation": ACTIVATIONS,
    "init": INITIALISATIONS,
    "noise": NOISES,
    "split": ("paper", "official"),
    "precision": PRECISIONS,
}
COUNTS = ("latents", "components", "samples", "batch", "epochs")
POSITIVE = ("sigma2", "beta", "lr")
SEEDS = ("seed", "split_seed")
KIND_OF = {item.name: item.type for item in fields(Config)}

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([name for names in CHOICES.values() for name in names]),
)


def allowed(name, value):
    """The rule of each setting, once more."""
    kind = KIND_OF[name]
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool and not value  # closed_form needs learned
    if name in CHOICES:
        return isinstance(value, str) and value in CHOICES[name]
    if name in POSITIVE:
        return isinstance(value, int | float) and 0 < value < math.inf
    if name == "floor":
        return isinstance(value, int | float) and 0 <= value < math.inf
    if name in COUNTS:
        return isinstance(value, int) and value >= 1
    if name in SEEDS:
        return isinstance(value, int) and value >= 0
    return isinstance(value, str)


def test_every_setting_has_a_rule():
    named = {*CHOICES, *COUNTS, *POSITIVE, *SEEDS, "dataset", "closed_form", "floor"}
    assert named == {item.name for item in fields(Config)}


@pytest.mark.parametrize("name", KIND_OF)
@given(value=values)
def test_a_bad_value_is_named(name, value):
    """The setting, the rule, the value and the file; nothing else is raised, nothing passes."""
    given_ = {"noise": "mog", name: value}
    if allowed(name, value):
        assert getattr(settings(given_, "run.toml"), name) == value
        return
    with pytest.raises(ValueError, match="must|goes with") as error:
        settings(given_, "run.toml")
    assert str(error.value).startswith(f"run.toml: {name} ")
    assert repr(value) in str(error.value) or name == "closed_form"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("latents", 0, "latents must be at least 1; it is 0"),
        ("latents", 2.0, "latents must be an integer; it is 2.0"),
        ("latents", True, "latents must be an integer; it is True"),
        ("beta", -1, "beta must be positive and finite; it is -1"),
        ("beta", math.nan, "beta must be positive and finite; it is nan"),
        ("lr", math.inf, "lr must be positive and finite; it is inf"),
        ("sigma2", "0.1", "sigma2 must be a number; it is '0.1'"),
        ("floor", -1.0, "floor must be finite and not negative; it is -1.0"),
        ("seed", -1, "seed must not be negative; it is -1"),
        ("closed_form", 1, "closed_form must be true or false; it is 1"),
        ("dataset", 3, "dataset must be text; it is 3"),
        ("noise", "mogg", "noise must be one of fixed, learned, mog, network; it is 'mogg'"),
    ],
)
def test_the_words(name, value, words):
    with pytest.raises(ValueError, match="must") as error:
        Config(**{name: value})
    assert str(error.value) == words


def test_closed_form_is_for_learned_noise():
    assert Config(closed_form=True).closed_form
    with pytest.raises(ValueError, match="closed_form goes with noise 'learned', not 'mog'"):
        Config(closed_form=True, noise="mog")


@pytest.mark.parametrize("name", KIND_OF)
def test_an_unknown_setting_is_answered_with_the_nearest(name):
    with pytest.raises(ValueError, match="there is no setting") as error:
        settings({"epochs": 1, name + "x": 1}, "run.toml")
    assert str(error.value).startswith(f"run.toml: there is no setting {name + 'x'!r}; there is ")
    assert name in str(error.value).split("there is")[2]


def test_a_setting_like_none_is_answered_with_all():
    with pytest.raises(ValueError, match="there is no setting") as error:
        settings({"zzzzzz": 1}, "run.toml")
    assert all(name in str(error.value) for name in KIND_OF)


def test_settings_come_back_from_json():
    config = Config(noise="mog", beta=3, sigma2=1e-3, network="mlp")
    assert settings(json.loads(json.dumps(config.to_dict())), "here") == config
    assert settings({}, "here") == Config()


def test_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('noise = "mog"\nbeta = 4\nlr = 1e-4\nclosed_form = false\n')
    assert settings(read_toml(path), str(path)) == Config(noise="mog", beta=4, lr=1e-4)


@pytest.mark.parametrize(
    "content", [b"beta = ", b"beta 4", b"beta = 1\nbeta = 2", b"\xff\xfe", b"[a\n", b"\x00"]
)
def test_what_is_not_toml(tmp_path, content):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="run.toml: not TOML"):
        read_toml(path)


def test_a_table_is_not_a_setting(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[train]\nbeta = 4\n")
    with pytest.raises(ValueError, match="there is no setting 'train'"):
        settings(read_toml(path), str(path))


@pytest.mark.parametrize("dataset", [*STARTING, "anything"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 192, 168), (1, 5, 90)])
def test_starting_values_are_settings(dataset, shape):
    config = settings(starting_values(dataset, shape), "start")
    if dataset == "anything":
        model = make_model(replace(config, latents=2), shape)
        assert model.encode(torch.zeros(1, *shape))[0].shape == (1, 2)


def test_the_papers_start():
    """D.5: step sizes, epochs, latents."""
    wanted = {"mnist": (1e-3, 200), "celeba": (1e-4, 20), "yale": (1e-4, 2002)}
    for name, (lr, epochs) in wanted.items():
        start = STARTING[name]
        assert (start["lr"], start["epochs"], start["latents"]) == (lr, epochs, 128)
        assert start["network"] == name


class TestNoise:
    @pytest.mark.parametrize("name", NOISES)
    @pytest.mark.parametrize("precision", PRECISIONS)
    def test_it_is_the_one_asked_for(self, name, precision):
        config = Config(noise=name, sigma2=0.07, components=3, network="linear", latents=2)
        config = replace(config, precision=precision)
        model = make_model(config, (1, 2, 2))
        assert type(model.noise) is NOISES[name] is type(make_noise(config))
        dtype = torch.float64 if precision == "float64" else torch.float32
        assert {p.dtype for p in model.state_dict().values()} == {dtype}
        exact = 1e-15 if precision == "float64" else 1e-6
        if name in ("fixed", "learned"):
            assert model.noise.variance().item() == pytest.approx(0.07, rel=exact)
        if name == "mog":
            assert len(model.noise.weights) == 3
            assert model.noise.weights.sum().item() == pytest.approx(1, rel=exact)
            assert model.noise.variances[1].item() == pytest.approx(0.07, rel=exact)

    @pytest.mark.parametrize("closed_form", [False, True])
    def test_learned_noise_learns_in_one_way(self, closed_form):
        noise = make_noise(Config(closed_form=closed_form))
        assert isinstance(noise, LearnedGaussian)
        assert noise.closed_form is closed_form
        assert noise.log_sigma.requires_grad is not closed_form

    def test_floors(self):
        """An eight-bit pixel's own variance, but for noise that each pixel has its own of."""
        assert pytest.approx(1 / 255**2 / 12) == FLOOR
        for name in ("learned", "mog"):
            assert make_noise(Config(noise=name)).floor == FLOOR
        assert make_noise(Config(noise="network")).floor == NETWORK_FLOOR

    @pytest.mark.parametrize("name", ["learned", "mog", "network"])
    def test_a_floor_of_ones_own(self, name):
        assert make_noise(Config(noise=name, floor=0.25)).floor == 0.25


class TestSeeds:
    @given(seed=st.integers(0, 2**70), key=st.lists(st.integers(0, 2**32), max_size=3))
    def test_streams_part(self, seed, key):
        found = [seed_of(seed, stream, *key) for stream in STREAMS]
        found += [seed_of(seed + 1, stream, *key) for stream in STREAMS]
        assert len(set(found)) == len(found)
        assert all(0 <= value < 2**63 for value in found)
        assert found == [seed_of(s, stream, *key) for s in (seed, seed + 1) for stream in STREAMS]
        for value in found:
            torch.Generator().manual_seed(value)

    @given(seed=st.integers(0, 2**70), epoch=st.integers(0, 10**6), number=st.integers(1, 50))
    def test_keys_part(self, seed, epoch, number):
        many = seeds_of(seed, "noise", epoch, number=number)
        assert len(set(many)) == number
        assert many[0] == seed_of(seed, "noise", epoch)
        assert not set(many) & set(seeds_of(seed, "noise", epoch + 1, number=number))
