"""What a run has come to, in memory and on disk."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from dindic_models.checkpoint import (
    SETTINGS,
    TRAINING,
    check_settings,
    hash_of,
    read_tensors,
    save_model,
    write_tensors,
)
from dindic_models.config import Config, make_model
from dindic_models.devices import Group, layout_of
from dindic_models.history import HISTORY, Row, write_csv
from dindic_models.networks import Shape
from dindic_models.vae import VAE

__all__ = ["State", "TrainingDivergedError", "adam"]


class TrainingDivergedError(Exception):
    """The loss of the run in `folder` is no longer a finite number."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


@dataclass
class State:
    """A run: weights, Adam's averages, sums of the epoch, steps done, rows; and where it goes."""

    config: Config
    folder: Path
    model: VAE
    optimiser: torch.optim.Adam
    totals: Tensor
    step: int = 0
    history: list[Row] = field(default_factory=list)

    @classmethod
    def new(cls, config: Config, shape: Shape, folder: Path, device: torch.device) -> "State":
        """Return a run that has not begun."""
        model: VAE = make_model(config, shape)
        model.to(device, memory_format=layout_of(config.precision, device))  # type: ignore[call-overload]
        zero = torch.zeros(2, device=device).double()
        return cls(config, folder, model, adam(model, config.lr), zero)

    def save(self, group: Group) -> None:
        """Write training.safetensors, all that going on needs, then what others read."""
        self.check(group, weights=True)
        totals = group.sum(self.totals.clone())
        self.totals.copy_(totals * group.first)
        if group.first:
            tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
            tensors |= self.averages() | {"totals": self.totals}
            said = {"step": str(self.step), "history": json.dumps(self.history)}
            said[SETTINGS] = hash_of(self.config)
            write_tensors(self.folder / TRAINING, tensors, said)
            self.publish()
        group.wait()

    def publish(self) -> None:
        """Write model.safetensors and history.csv, which others read."""
        save_model(self.folder, self.model, self.step, self.config)
        if self.history:
            write_csv(self.folder / HISTORY, self.history)

    def averages(self) -> dict[str, Tensor]:
        """Return what Adam carries, by name."""
        state = self.optimiser.state_dict()["state"]
        return {f"adam.{i}.{name}": t for i in state for name, t in state[i].items()}

    def check(self, group: Group, *, weights: bool = False, failed: bool = False) -> None:
        """Raise TrainingDivergedError, in all processes, if sums or weights are not finite."""
        values = [self.totals, *(self.model.state_dict().values() if weights else ())]
        finite = all(bool(t.isfinite().all()) for t in values)
        if group.any(failed or not finite, self.totals):
            raise TrainingDivergedError(
                f"the loss is not a finite number by step {self.step}; the checkpoint before it "
                f"stays. A smaller lr than {self.config.lr:g}, or a larger sigma2 to start from "
                f"than {self.config.sigma2:g}, usually helps",
                self.folder,
            )

    def load(self) -> None:
        """Read training.safetensors.

        Raises
        ------
        ValueError
            If it is damaged or belongs to another model.
        """
        path = self.folder / TRAINING
        tensors, said = read_tensors(path)
        check_settings(path, said, self.config)
        try:
            weights = {k[6:]: t for k, t in tensors.items() if k.startswith("model.")}
            self.model.load_state_dict(weights)
            for name, tensor in self.averages().items():  # fused Adam needs their memory layout
                tensor.copy_(tensors[name])
            self.totals.copy_(tensors["totals"])
            self.step, self.history = int(said["step"]), json.loads(said["history"])
            if not isinstance(self.history, list) or not all(
                isinstance(row, dict) for row in self.history
            ):
                raise ValueError("its history is no list of rows")
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(f"{path}: not the state of this run ({reason})") from error


def adam(model: VAE, lr: float) -> torch.optim.Adam:
    """Return Adam with its averages at zero, where a CUDA graph and a checkpoint find them."""
    learned = [p for p in model.parameters() if p.requires_grad]
    cuda = learned[0].device.type == "cuda"
    optimiser = torch.optim.Adam(learned, lr=lr, fused=True, capturable=cuda)
    for p in learned:
        optimiser.state[p] = {
            "step": torch.zeros((), device=p.device),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
    return optimiser
