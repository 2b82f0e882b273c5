"""The runs of the paper's experiments: the numbers of appendix D, and how runs are chosen."""

from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models.config import make_model
from dindic_models.grids import GRIDS, PRINTED, runs
from dindic_models.train import SHARED

SPECIFIED = [
    *[0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009, 0.01, 0.011, 0.012],
    *[0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11],
]
LEARNED = [0.1, 0.5, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18]

SHAPES = {"mnist": (1, 28, 28), "celeba": (3, 64, 64), "yale": (1, 192, 168)}
SIZES = {"mnist": 35, "celeba": 4, "yale": 6}

each = pytest.mark.parametrize("dataset", GRIDS)


# ------------------------------------------------------------------------ what appendix D says


def test_mnist_has_the_variances_and_the_betas_of_the_paper():
    found = list(runs("mnist").values())
    fixed = [config for config in found if config.noise == "fixed"]
    learned = [config for config in found if config.noise == "learned"]
    assert [config.sigma2 for config in fixed] == SPECIFIED
    assert {config.beta for config in fixed} == {1.0}
    assert [config.beta for config in learned] == LEARNED
    assert fixed + learned == found
    assert len(found) == 35


def test_celeba_has_the_mixtures_of_the_paper():
    found = runs("celeba")
    assert {name: (config.beta, config.latents) for name, config in found.items()} == {
        "mog2_beta_1": (1, 128),
        "mog2_beta_30": (30, 128),
        "mog2_beta_40": (40, 128),
        "mog2_beta_40_latents_32": (40, 32),
    }
    assert {(config.noise, config.components) for config in found.values()} == {("mog", 2)}


def test_yale_has_the_betas_of_the_paper_and_the_noise_of_the_network():
    found = runs("yale")
    learned = [config for config in found.values() if config.noise == "learned"]
    assert [config.beta for config in learned] == [1, 40, 80, 120, 160]
    assert [config.epochs for config in learned] == [2002] * 5
    assert [found["network"].noise, found["network"].beta] == ["network", 1]
    assert found["network"].epochs == 1460
    assert len(found) == 6


@pytest.mark.parametrize(
    ("dataset", "epochs", "lr"), [("mnist", 200, 1e-3), ("celeba", 20, 1e-4), ("yale", 2002, 1e-4)]
)
def test_all_else_is_that_of_appendix_d(dataset, epochs, lr):
    """Batches of 100 images, one code for each, and a random split."""
    for name, config in runs(dataset).items():
        assert (config.dataset, config.network, config.lr) == (dataset, dataset, lr)
        assert (config.batch, config.samples, config.split) == (100, 1, "paper")
        assert config.epochs == (1460 if name == "network" else epochs)
        assert config.latents == (32 if name.endswith("latents_32") else 128)
        assert config.activation == "sigmoid"
        assert config.precision == "float32"


@each
def test_every_run_is_a_model(dataset):
    built = {}
    for config in runs(dataset).values():
        key = config.network, config.latents, config.noise
        built.setdefault(key, make_model(config, SHAPES[dataset]))
    assert {(network, latents) for network, latents, _ in built} >= {(dataset, 128)}


@each
def test_all_runs_of_as_many_latents_and_epochs_can_be_trained_together(dataset):
    found = runs(dataset).values()
    apart = {(config.latents, config.epochs) for config in found}
    shared = {tuple(getattr(c, name) for name in (*SHARED, "epochs")) for c in found}
    assert len(shared) == len(apart) == {"mnist": 1, "celeba": 2, "yale": 2}[dataset]


def test_what_the_paper_prints():
    """Captions of Fig. 11, 10 and 2."""
    printed = {
        runs("mnist")[name].beta: values["normalised_variance"]
        for name, values in PRINTED["mnist"].items()
    }
    assert printed == {0.5: 0.00086, 1: 0.00248, 10: 0.112}


# ---------------------------------------------------------------------------------- names


@each
def test_names_say_what_a_run_is(dataset):
    found = runs(dataset)
    assert len(found) == SIZES[dataset]
    assert list(found) == list(GRIDS[dataset])
    settings = [(c.noise, c.sigma2, c.beta, c.latents) for c in found.values()]
    assert len(set(settings)) == len(settings)
    for name, config in found.items():
        assert name.isascii()
        assert "/" not in name
        words = name.split("_")
        if "sigma2" in words:
            assert float(words[-1]) == config.sigma2
        if "beta" in words:
            assert float(words[words.index("beta") + 1]) == config.beta
        if "latents" in words:
            assert int(words[-1]) == config.latents


@given(data=st.data())
def test_chosen_runs_come_in_the_order_of_the_grid(data):
    """Whatever the order in which they are asked for, and each once."""
    dataset = data.draw(st.sampled_from(list(GRIDS)))
    names = list(GRIDS[dataset])
    only = data.draw(st.lists(st.sampled_from(names), min_size=1))
    found = runs(dataset, only=tuple(only))
    assert list(found) == [name for name in names if name in only]
    assert found == {name: runs(dataset)[name] for name in found}


@pytest.mark.parametrize(
    ("dataset", "only", "number"),
    [
        ("mnist", ("*",), 35),
        ("mnist", ("fixed*",), 23),
        ("mnist", ("learned*",), 12),
        ("mnist", ("learned_beta_1",), 1),
        ("mnist", ("learned_beta_1*",), 6),
        ("mnist", ("learned_beta_1?",), 5),
        ("mnist", ("fixed_sigma2_0.0?", "learned_beta_?"), 9 + 5),
        ("mnist", ("fixed*", "*_0.11", "fixed_sigma2_0.11"), 23),
        ("celeba", ("*40*",), 2),
        ("yale", ("network", "learned_beta_[14]0"), 2),
    ],
)
def test_patterns(dataset, only, number):
    found = runs(dataset, only=only)
    assert len(found) == number
    assert all(any(fnmatchcase(name, pattern) for pattern in only) for name in found)


@pytest.mark.parametrize("pattern", ["learned_beta_3", "Learned*", "fixed", "", "mog*"])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(pattern):
    with pytest.raises(ValueError, match="the study has no run ") as found:
        runs("mnist", only=("learned*", pattern))
    assert repr(pattern) in str(found.value)
    assert all(name in str(found.value) for name in GRIDS["mnist"])


def test_a_study_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no study 'sprites'; there is mnist, celeba, yale"):
        runs("sprites")


# ----------------------------------------------------------------------- seeds and changes


@each
def test_another_seed_is_all_that_differs(dataset):
    first, more = runs(dataset), runs(dataset, seeds=(0, 3, 12))
    assert len(more) == 3 * len(first)
    for name, config in first.items():
        assert more[name] == config
        assert more[f"{name}_seed_3"] == replace(config, seed=3)
        assert more[f"{name}_seed_12"] == replace(config, seed=12)


@pytest.mark.parametrize("seeds", [(), (1, 1), (0, 2, 0)])
def test_seeds_that_are_none_or_the_same(seeds):
    with pytest.raises(ValueError, match="seeds must be different numbers, at least one; got"):
        runs("mnist", seeds=seeds)


@each
def test_the_closed_form_is_for_one_learned_variance_only(dataset):
    for name, config in runs(dataset, closed_form=True).items():
        assert config.closed_form == (config.noise == "learned")
        assert replace(config, closed_form=False) == runs(dataset)[name]
    assert not any(config.closed_form for config in runs(dataset).values())


@each
def test_changes_are_for_all_runs(dataset):
    """Also where the grid says something of its own."""
    for name, config in runs(dataset, epochs=3, precision="tf32", latents=5).items():
        assert config == replace(
            runs(dataset)[name], epochs=3, precision="tf32", latents=5, seed=0
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "study yale: there is no setting 'epoch'; there is epochs"),
        ({"epochs": 0}, "study yale: epochs must be at least 1; it is 0"),
        ({"precision": "float8"}, "study yale: precision must be one of float32"),
        ({"seeds": (-1,)}, "study yale: seed must not be negative; it is -1"),
    ],
)
def test_changes_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        runs("yale", **changes)
