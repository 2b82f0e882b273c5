"""What runs on a GPU only: graphs, streams, vmap, precisions, determinism, encodings.

The file needs no option: it runs where torch finds a GPU, and is skipped elsewhere. What a graph
has to do is tested with a stand-in on the CPU too, in test_train_together.py.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from runs import (
    BATCH,
    NOISES,
    assert_same,
    config,
    dataset,
    pictures,
    signal_at,
    state,
)
from training import CPU, every, gain, stopped

from dindic_models.batches import Batches
from dindic_models.checkpoint import load
from dindic_models.config import make_model
from dindic_models.devices import Group, name_of, on_device, pick_device, set_precision
from dindic_models.encode import posteriors
from dindic_models.objective import draw, objective
from dindic_models.state import State
from dindic_models.step import STREAMS, Step, record
from dindic_models.train import (
    TrainingStoppedError,
    train,
    train_together,
)

GPU = torch.device("cuda", 0)

pytestmark = [
    pytest.mark.usefixtures("_settings", "_narrow"),
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="torch finds no GPU here: CUDA graphs, streams and precisions are NOT tested",
    ),
]


@every
def test_a_graph_is_the_same_run(tmp_path, noise, monkeypatch):
    """Over few steps, because rounding is amplified by Adam."""
    settings = config(samples=2, epochs=2, network="mnist", **NOISES[noise])
    train(settings, dataset(), tmp_path / "graph", device=GPU)
    init = Step.__init__

    def eager(self, *arguments):
        init(self, *arguments)
        assert self.graphed
        self.graphed = False

    monkeypatch.setattr(Step, "__init__", eager)
    train(settings, dataset(), tmp_path / "eager", device=GPU)
    for (name, one), two in zip(
        state(tmp_path / "graph")[0].items(), state(tmp_path / "eager")[0].values(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-3, msg=name)
    for one, two in zip(state(tmp_path / "graph")[2], state(tmp_path / "eager")[2], strict=True):
        np.testing.assert_allclose(one["train_evlb"], two["train_evlb"], rtol=1e-3)


@every
def test_a_gpu_repeats_its_bits_when_told(tmp_path, noise):
    settings = config(network="mnist", **NOISES[noise])
    for name in "ab":
        train(settings, dataset(), tmp_path / name, device=GPU, deterministic=True)
    assert_same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "float64"])
def test_every_precision_on_a_gpu(tmp_path, precision):
    settings = config(network="mnist", epochs=8, lr=1e-2, precision=precision)
    assert gain(settings, tmp_path, device=GPU) > 3
    assert load(tmp_path).model.state_dict()["encoder.head.bias"].device == CPU


def test_a_gpu_goes_on_where_it_stopped(tmp_path):
    settings = config(network="mnist")
    train(settings, dataset(), tmp_path / "whole", device=GPU, deterministic=True)
    with pytest.raises(TrainingStoppedError):
        train(
            settings,
            dataset(),
            tmp_path / "parts",
            device=GPU,
            deterministic=True,
            progress=signal_at(7),
        )
    again = {"device": GPU, "deterministic": True, "resume": True}
    train(settings, dataset(), tmp_path / "parts", **again)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_branches_of_a_graph_are_the_same_runs(tmp_path):
    """Bit for bit, since every kernel is the same, whichever stream it ran on."""
    settings = [config(samples=2, network="mnist", **noise) for noise in NOISES.values()]
    folders = [tmp_path / str(i) for i in range(len(settings))]
    train_together(settings, dataset(), folders, device=GPU, deterministic=True)
    for one, folder in zip(settings, folders, strict=True):
        train(one, dataset(), tmp_path / "alone" / folder.name, device=GPU, deterministic=True)
        assert_same(tmp_path / "alone" / folder.name, folder)


def test_a_gpu_is_picked_and_named():
    """Moved here from the tests of devices: the name goes into provenance."""
    assert pick_device() == torch.device("cuda", 0)
    assert torch.ones(1, device=pick_device("cuda")).device.type == "cuda"
    assert name_of(pick_device()) == torch.cuda.get_device_name(0)


def test_the_name_of_the_gpu_is_kept_with_the_model(tmp_path):
    train(config(epochs=1), dataset(), tmp_path, device=GPU)
    assert load(tmp_path).devices == (torch.cuda.get_device_name(0),)


def states(models, **changes):
    """Runs of convolutions that differ in beta, on the GPU."""
    settings = [config(network="mnist", beta=1.0 + i, **changes) for i in range(models)]
    return [State.new(one, (1, 8, 8), None, GPU) for one in settings]


def weights(runs):
    return [t.detach().clone() for run in runs for t in run.model.state_dict().values()]


def some_batches(number):
    x = torch.from_numpy(pictures(BATCH * number) / np.float32(255)).to(GPU)
    return [(part, BATCH, seed) for seed, part in enumerate(x.split(BATCH))]


def test_a_graph_is_recorded_once_and_replayed():
    with on_device(GPU):
        (run,) = states(1)
        step = Step([run], Group())
        assert step.graphed
        before = weights([run])
        kept = None
        for batch in some_batches(3):
            step(*batch)
            assert isinstance(step.graph, torch.cuda.CUDAGraph)
            assert step.graph is (kept or step.graph)
            kept = step.graph
        assert any(not torch.equal(a, b) for a, b in zip(before, weights([run]), strict=True))
        assert float(run.optimiser.state[next(run.model.parameters())]["step"]) == 3


def test_a_batch_that_is_not_full_is_not_replayed():
    """The graph has the shape of a full batch; the last one of an epoch is smaller."""
    with on_device(GPU):
        (run,) = states(1)
        step = Step([run], Group())
        x = torch.from_numpy(pictures(5) / np.float32(255)).to(GPU)
        step(x, 5, 0)
        assert step.graph is None
        step(*some_batches(1)[0])
        step(x, 5, 1)
        assert float(run.optimiser.state[next(run.model.parameters())]["step"]) == 3


@pytest.mark.parametrize("models", [2, STREAMS + 1])
def test_each_model_has_a_stream_or_shares_one(models):
    """And takes the step that it takes on one stream, bit for bit."""
    set_precision("float32", deterministic=True)
    found = []
    with on_device(GPU):
        for streams in (None, 0):
            runs = states(models)
            step = Step(runs, Group())
            assert len(step.streams) == min(models, STREAMS)
            step.streams = step.streams[:streams]
            for batch in some_batches(3):
                step(*batch)
            torch.cuda.synchronize()
            found.append(weights(runs))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_models_trained_together_are_close_to_those_trained_alone(tmp_path):
    """Without deterministic operations: in float64, so that only the order of sums differs."""
    settings = [
        config(samples=2, epochs=2, network="mnist", precision="float64", **noise)
        for noise in NOISES.values()
    ]
    folders = [tmp_path / str(i) for i in range(len(settings))]
    train_together(settings, dataset(), folders, device=GPU)
    for one, folder in zip(settings, folders, strict=True):
        train(one, dataset(), tmp_path / "alone" / folder.name, device=GPU)
        other = state(tmp_path / "alone" / folder.name)
        for (name, t), u in zip(state(folder)[0].items(), other[0].values(), strict=True):
            torch.testing.assert_close(t, u, rtol=1e-6, atol=1e-8, msg=name)
        assert [row["step"] for row in state(folder)[2]] == [row["step"] for row in other[2]]


def test_models_stacked_by_vmap_take_the_step_of_each():
    """As the benchmark stacks them; in float64, since convolutions become grouped ones."""
    with on_device(GPU):
        runs = states(3, precision="float64")
        models = [run.model for run in runs]
        x, size, seed = some_batches(1)[0]
        x = x.double()
        noise = draw(seed, (1, size, 2), x)
        stacked, buffers = torch.func.stack_module_state(models)

        def loss(weights, buffers):
            values = torch.func.functional_call(models[0], (weights, buffers), (x, noise))
            return -objective(values, 1.0).sum() / size

        gradients, losses = torch.vmap(torch.func.grad_and_value(loss))(stacked, buffers)
        for i, model in enumerate(models):
            alone = -objective(model(x, noise), 1.0).sum() / size
            torch.testing.assert_close(losses[i], alone.detach(), rtol=1e-10, atol=1e-10)
            alone.backward()
            for name, p in model.named_parameters():
                torch.testing.assert_close(gradients[name][i], p.grad, rtol=1e-8, atol=1e-10)


def test_a_stacked_step_is_recorded_as_a_graph():
    with on_device(GPU):
        models = [run.model for run in states(2)]
        x, size, seed = some_batches(1)[0]
        noise = draw(seed, (1, size, 2), x)
        stacked, buffers = torch.func.stack_module_state(models)
        learned = {name: t.detach().requires_grad_() for name, t in stacked.items()}
        adam = torch.optim.Adam(learned.values(), fused=True, capturable=True)

        def loss(weights, buffers):
            values = torch.func.functional_call(models[0], (weights, buffers), (x, noise))
            return -objective(values, 1.0).sum() / size

        def take():
            adam.zero_grad(set_to_none=True)
            torch.vmap(loss)(learned, buffers).sum().backward()
            adam.step()

        graph = record(take, [])
        before = [t.detach().clone() for t in learned.values()]
        graph.replay()
        torch.cuda.synchronize()
        after = list(learned.values())
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_tf32_rounds_products_and_float32_does_not():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(512, 512, generator=generator)
    exact, on_gpu = a.double() @ a.double(), a.to(GPU)
    errors = {}
    for precision in ("float32", "tf32"):
        set_precision(precision)
        assert torch.backends.cuda.matmul.allow_tf32 == (precision == "tf32")
        assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
        errors[precision] = float(((on_gpu @ on_gpu).double().cpu() - exact).abs().max())
    assert errors["float32"] < 1e-3
    if torch.cuda.get_device_capability(0) >= (8, 0):
        assert errors["tf32"] > 10 * errors["float32"]


def test_deterministic_operations_are_asked_for(tmp_path):
    train(config(epochs=1), dataset(), tmp_path, device=GPU, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


@every
@pytest.mark.parametrize("network", ["mnist", "mlp"])
def test_encodings_of_a_gpu_are_those_of_the_cpu(network, noise):
    set_precision("float32")
    model = make_model(config(network=network, latents=5, **NOISES[noise]), (1, 8, 8))
    images, chosen = dataset().images, np.arange(70)
    found = []
    for device in (CPU, GPU):
        parts = posteriors(model, images, chosen, batch=32, device=device)
        found.append([np.concatenate(values) for values in zip(*parts, strict=True)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)


def test_images_on_a_gpu_are_those_of_the_cpu():
    images, chosen = dataset().images, np.arange(0, 70, 3)
    positions = [np.arange(10), np.arange(10, len(chosen))]
    for keep in (False, True):
        both = [Batches(images, chosen, device, keep=keep) for device in (CPU, GPU)]
        for one, two in zip(*(b.each(positions) for b in both), strict=True):
            assert two.device.type == "cuda"
            torch.testing.assert_close(one, two.cpu(), rtol=0, atol=1e-7)


def test_a_model_goes_from_the_cpu_to_the_gpu_and_back(tmp_path):
    """Resumed elsewhere: Adam keeps its counts on the device of the weights."""
    stopped(config(), tmp_path, 7)
    train(config(), dataset(), tmp_path, resume=True, device=GPU)
    assert load(tmp_path).devices == (name_of(CPU), name_of(GPU))
    train(config(epochs=4), dataset(), tmp_path, resume=True)
    assert [row["epoch"] for row in state(tmp_path)[2]] == [1, 2, 3, 4]
