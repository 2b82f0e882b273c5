"""Training: the same bits from the same seed, the order of the images, and what a step does."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    NOISES,
    assert_same,
    config,
    dataset,
    pictures,
    state,
)
from training import (
    CPU,
    STEPS,
    every,
    gain,
    table,
)

from dindic_models import train as module
from dindic_models.batches import Batches
from dindic_models.checkpoint import load
from dindic_models.config import Config, make_model, seeds_of, starting_values
from dindic_models.data import open_data, rows, some, to_unit
from dindic_models.devices import Group
from dindic_models.history import evaluate
from dindic_models.state import State, adam
from dindic_models.step import Step
from dindic_models.train import (
    plan,
    train,
)

pytestmark = pytest.mark.usefixtures("_settings", "_narrow")


@every
def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path, whole, noise):
    settings = config(samples=2, **NOISES[noise])
    one = whole(settings)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    train(settings, dataset(), tmp_path / "two")
    assert_same(one, tmp_path / "two")
    other = train(config(samples=2, seed=1, **NOISES[noise]), dataset(), tmp_path / "other")
    first, _, _ = state(one)
    weights = [n for n, t in other.state_dict().items() if t.numel() > 1 and n[:5] != "noise"]
    assert not any(torch.equal(first[f"model.{n}"], other.state_dict()[n]) for n in weights)


def test_the_seed_of_the_split_is_another(tmp_path):
    one, two = config(epochs=1), config(epochs=1, split_seed=1)
    train(one, dataset(), tmp_path / "a")
    train(two, dataset(), tmp_path / "b")
    assert state(tmp_path / "a")[2] != state(tmp_path / "b")[2]
    start = make_model(one, (1, 8, 8)), make_model(two, (1, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in start), strict=True))


def test_kept_or_read_when_needed_the_bits_are_the_same(tmp_path, whole, monkeypatch):
    kept = whole(config())
    monkeypatch.setattr(module, "fits", lambda images, number: False)
    train(config(), dataset(), tmp_path)
    assert_same(kept, tmp_path)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own():
    orders = []
    for seed in (0, 1):
        for epoch in range(3):
            chosen, seeds = plan(config(seed=seed), 65, epoch)
            assert [len(c) for c in chosen] == [16, 16, 16, 16, 1]
            orders.append(np.concatenate(chosen))
            assert sorted(orders[-1]) == list(range(65))
            assert seeds == seeds_of(seed, "noise", epoch, number=5)
    assert len({tuple(order) for order in orders}) == 6
    assert [len(c) for c in plan(config(), 32, 0)[0]] == [16, 16]
    assert [len(c) for c in plan(config(), 3, 0)[0]] == [3]


def test_noise_differs_from_step_to_step():
    seeds = [seed for epoch in range(4) for seed in plan(config(), 65, epoch)[1]]
    assert len(set(seeds)) == 4 * STEPS


@every
def test_training_raises_the_bound(tmp_path, noise):
    assert gain(config(epochs=6, lr=1e-2, **NOISES[noise]), tmp_path) > 3


def test_a_step_is_a_step_of_adam_on_the_mean_of_the_batch():
    """By hand, with beta and L: the loss of a batch does not depend on its size."""
    settings = config(beta=3.0, samples=2, precision="float64", lr=0.01)
    mine, other = (make_model(settings, (1, 8, 8)) for _ in range(2))
    state = State(settings, None, mine, adam(mine, settings.lr), torch.zeros(2).double())
    step = Step([state], Group())
    optimiser = torch.optim.Adam(other.parameters(), lr=0.01)
    x = torch.from_numpy(pictures(48) / np.float32(255)).double()
    for start, size in ((0, 16), (16, 16), (32, 5)):
        batch, seed = x[start : start + size], 40 + start
        step(batch, size, seed)
        generator = torch.Generator().manual_seed(seed)
        e = torch.randn(2, size, 2, generator=generator, dtype=torch.float64)
        mean, logvar = other.encode(batch)
        loss = 1.5 * (mean**2 + logvar.exp() - 1 - logvar).sum() / size
        for k in range(2):
            g = other.decode(mean + (0.5 * logvar).exp() * e[k])
            loss = loss - other.noise.log_prob(batch, g).sum() / size / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pairs = zip(mine.parameters(), other.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-10


@pytest.mark.parametrize("n", [2, 3, 10])
def test_very_few_images(tmp_path, n):
    """Two leave none to be judged by."""
    train(config(), dataset(pictures(n)), tmp_path)
    assert len(table(tmp_path)) == 3
    assert ("evlb" in table(tmp_path)[0]) == (n > 2)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "float64"])
def test_every_precision_trains_and_loads(tmp_path, precision):
    settings = config(epochs=5, lr=1e-2, precision=precision)
    assert gain(settings, tmp_path) > 3
    kind = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in load(tmp_path).model.parameters()} == {kind}


@every
def test_bf16_keeps_the_digits_of_the_divergence(noise):
    """A KL of a hundredth of a nat is a difference of numbers around one."""
    model = make_model(config(precision="bf16", **NOISES[noise]), (1, 8, 8))
    x = torch.from_numpy(pictures(16) / np.float32(255))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        values = model(x, torch.zeros(1, 16, 2))
        mean, logvar = (value.double() for value in model.encode(x))
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1)
    assert float(kl.max()) < 0.1
    torch.testing.assert_close(values.kl.double(), kl, rtol=1e-4, atol=1e-6)
    assert {value.dtype for value in values} == {torch.float32}


def test_deterministic_operations_train(tmp_path):
    train(config(network="mnist", epochs=1), dataset(), tmp_path / "a", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    train(config(network="mnist", epochs=1), dataset(), tmp_path / "b")
    assert_same(tmp_path / "a", tmp_path / "b")


def test_official_parts(tmp_path):
    images = pictures()
    parts = {"train": np.arange(33), "test": np.arange(40, 60)}
    whole = {**parts, "validation": np.arange(60, 70)}
    settings = config(split="official", epochs=1)
    for name, official, judges in (("two", parts, "test"), ("three", whole, "validation")):
        model = train(settings, dataset(images, official=official), tmp_path / name)
        assert state(tmp_path / name)[1] == 3
        row = evaluate(model, Batches(images, official[judges], CPU), settings)
        np.testing.assert_equal(state(tmp_path / name)[2][0] | row, state(tmp_path / name)[2][0])
    with pytest.raises(ValueError, match="array has no official part 'train'"):
        train(settings, dataset(), tmp_path / "none")


def test_at_most_so_many_images_are_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD_OUT", 3)
    settings = config(epochs=1)
    model = train(settings, dataset(), tmp_path)
    held_out = some(rows(dataset(), "validation"), 3, seed=settings.split_seed)
    row = evaluate(model, Batches(dataset().images, held_out, CPU), settings)
    assert state(tmp_path)[2][0]["evlb"] == row["evlb"]


def test_progress_counts_the_steps_that_are_left(tmp_path):
    seen = []

    def progress(steps, description, total):
        seen.append([description, total, 0])
        for step in steps:
            yield step
            seen[-1][2] += 1

    train(config(epochs=2), dataset(), tmp_path, progress=progress)
    train(config(epochs=3), dataset(), tmp_path, progress=progress, resume=True)
    assert [entry[:2] for entry in seen] == [
        ["reading images", 1],
        ["training", 10],
        ["reading images", 1],
        ["training", 5],
    ]


@pytest.mark.slow
def test_sprites_soon_use_latents_from_where_they_start():
    """With a sigmoid no latent is used after 5,000 steps of half the size."""
    data = open_data(dataset="sprites")
    chosen = rows(data, "train")
    settings = Config(**starting_values("sprites", (1, 64, 64)) | {"dataset": "sprites"})
    state = State.new(settings, (1, 64, 64), None, CPU)
    step = Step([state], Group())
    batches, seeds = plan(settings, len(chosen), 0)
    for index, seed in zip(batches[:300], seeds, strict=False):
        state.totals.zero_()
        step(torch.from_numpy(to_unit(data.images[chosen[index]])), len(index), seed)
    assert float(state.totals[1]) / len(index) > 5
