"""The indicators of every epoch: a metric of torchmetrics over processes, and a callback of Lightning."""

import json
import subprocess
import sys
import textwrap
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the metric is NOT tested")
pytest.importorskip("torchmetrics", reason="torchmetrics is not installed: NO metric is tested")

from torch import nn

from dindic_models.callback import Hooks, indicator_callback
from dindic_models.metric import IndicatorMetric
from disentangle_indicators import Moments, indicators, score

RNG = np.random.default_rng(0)
MEAN = torch.from_numpy(RNG.normal(size=(300, 4)) * [1.0, 0.9, 0.3, 0.0])
LOGVAR = torch.from_numpy(np.log([0.05, 0.2, 0.9, 1.0]) + 0.1 * RNG.normal(size=(300, 4)))


def wanted(prefix=""):
    return indicators(moments=Moments.of(MEAN, logvar=LOGVAR)).to_scalars(prefix=prefix)


def assert_close(found, expected):
    assert list(found) == list(expected)
    for name, value in found.items():
        assert float(value) == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name  # float32


@pytest.mark.parametrize("batch", [13, 300])
def test_any_split_into_batches_gives_the_indicators_of_all_rows(batch):
    metric = IndicatorMetric(4, prefix="val/")
    for start in range(0, 300, batch):
        part = slice(start, start + batch)
        metric.update(MEAN[part], logvar=LOGVAR[part])
    assert_close(metric.compute(), wanted("val/"))
    assert score(moments=metric.moments).used == int(wanted()["used"])
    metric.reset()
    assert not metric._parts()


@pytest.mark.parametrize("scale", ["var", "std", "logvar", "logstd"])
def test_every_scale(scale):
    var = LOGVAR.exp()
    values = {"var": var, "std": var.sqrt(), "logvar": LOGVAR, "logstd": LOGVAR / 2}[scale]
    metric = IndicatorMetric(4)
    metric.update(MEAN.requires_grad_(), **{scale: values})
    MEAN.requires_grad_(False)
    assert_close(metric.compute(), wanted())


def test_each_site_of_a_code_is_a_row():
    metric = IndicatorMetric(4)
    metric.update(*(x.reshape(50, 6, 1, 4).movedim(3, 1) for x in (MEAN, LOGVAR.exp())))
    assert metric.moments.n == 300
    assert_close(metric.compute(), wanted())


def test_forward_gives_the_batch_and_keeps_all():
    metric = IndicatorMetric(4)
    first = metric(MEAN[:100], logvar=LOGVAR[:100])
    second = metric(MEAN[100:], logvar=LOGVAR[100:])
    alone = indicators(moments=Moments.of(MEAN[:100], logvar=LOGVAR[:100])).to_scalars()
    assert_close(first, alone)
    assert second != first
    assert_close(metric.compute(), wanted())


def test_sums_are_float64_and_states_of_the_module():
    metric = IndicatorMetric(4)
    metric.persistent(True)
    metric.update(MEAN.float(), logvar=LOGVAR.float())
    state = metric.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float64}
    again = IndicatorMetric(4)
    again.persistent(True)
    again.load_state_dict(state)
    assert again.moments.n == 300


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": MEAN[:, :3], "logvar": LOGVAR[:, :3]}, "mean has 3 latents; the metric has 4"),
        ({"mean": MEAN, "var": LOGVAR}, "var must be positive"),
        ({"mean": MEAN * torch.nan, "var": LOGVAR.exp()}, "mean must be finite"),
        ({"mean": MEAN}, "var"),
    ],
)
def test_bad_batches(given, message):
    with pytest.raises(ValueError, match=message):
        IndicatorMetric(4).update(**given)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_rows():
    metric = IndicatorMetric(4)
    metric.update(MEAN[:0], logvar=LOGVAR[:0])
    with pytest.raises(ValueError, match="no row was added"):
        metric.compute()
    with pytest.raises(ValueError, match="latents must be at least 1; got 0"):
        IndicatorMetric(0)


RANKS = textwrap.dedent("""
    import json, sys
    import numpy as np
    import torch
    import torch.distributed as dist
    from dindic_models.metric import IndicatorMetric

    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)
    mean, logvar = (torch.from_numpy(np.load(f"{folder}/{name}.npy")) for name in ("mean", "logvar"))
    mine = slice(0, 110) if rank == 0 else slice(110, 300)
    metric = IndicatorMetric(4)
    for start in range(mine.start, mine.stop, 40):
        part = slice(start, min(start + 40, mine.stop))
        metric.update(mean[part], logvar=logvar[part])
    found = {name: float(value) for name, value in metric.compute().items()}
    assert metric.moments.n == mine.stop - mine.start
    with open(f"{folder}/{rank}.json", "w") as stream:
        json.dump(found, stream)
    dist.destroy_process_group()
    """)


def test_two_gloo_ranks_give_the_numbers_of_one_process(tmp_path):
    np.save(tmp_path / "mean.npy", MEAN)
    np.save(tmp_path / "logvar.npy", LOGVAR)
    program = [sys.executable, "-W", "ignore", "-c", RANKS]
    ranks = [
        subprocess.Popen([*program, str(rank), "2", str(tmp_path)], stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for rank in ranks:
        _, stderr = rank.communicate()
        assert rank.returncode == 0, stderr.decode()
    for rank in range(2):
        assert_close(json.loads((tmp_path / f"{rank}.json").read_text()), wanted())


# ------------------------------------------------------------------------------ Lightning's callback


class Module(nn.Module):
    """A stand-in for a LightningModule: what the callback asks of one."""

    def __init__(self, output):
        super().__init__()
        self.output, self.logged = output, {}
        self.dropout = nn.Dropout(0.5)

    def encode(self, x):
        return self.output(self.dropout(x))

    def log_dict(self, numbers):
        self.logged = numbers


def named(x):
    return {"mean": MEAN[x], "logvar": LOGVAR[x]}


def epoch(hooks, module, *, sanity_checking=False):
    trainer = SimpleNamespace(sanity_checking=sanity_checking)
    hooks.on_validation_epoch_start(trainer, module)
    for k, rows in enumerate(torch.arange(300).split(64)):
        hooks.on_validation_batch_end(trainer, module, None, (rows, rows), k)
    hooks.on_validation_epoch_end(trainer, module)
    return module.logged


def test_every_validation_logs_the_indicators_of_its_rows():
    hooks, module = Hooks(), Module(named)
    for _ in range(2):
        assert_close(epoch(hooks, module), wanted("val/"))
    assert module.training


def test_the_rows_of_a_sanity_check_are_left_out():
    assert epoch(Hooks(), Module(named), sanity_checking=True) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"returns": "mean,logvar"},
        {"encode": lambda module, x: named(x)},
    ],
)
def test_posteriors_without_names(given):
    module = Module(lambda x: (MEAN[x], LOGVAR[x]))
    assert_close(epoch(Hooks("x/", **given), module), wanted("x/"))


def test_the_trainer_of_lightning_calls_it(tmp_path):
    """With the library itself."""
    reason = "lightning is not installed: the callback is tested with a stand-in only"
    lightning = pytest.importorskip("lightning", reason=reason)

    class Vae(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)

        def encode(self, x):
            return self.encoder(x).chunk(2, 1)

        def training_step(self, batch, index):
            mean, logvar = self.encode(batch[0])
            rate = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(1)
            return ((self.decoder(mean) - batch[0]) ** 2).sum(1).mean() + rate.mean()

        def validation_step(self, batch, index):
            pass

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.01)

    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), 32)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        callbacks=[indicator_callback(returns="mean,logvar")],
        max_epochs=1,
        accelerator="cpu",
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        **quiet,
    )
    model = Vae()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers
        trainer.fit(model, loader, loader)
    with torch.no_grad():
        mean, logvar = model.eval().encode(x)
    expected = indicators(moments=Moments.of(mean, logvar=logvar)).to_scalars(prefix="val/")
    logged = trainer.callback_metrics
    assert_close({name: logged[name] for name in expected}, expected)
