"""The indicators as a metric of torchmetrics; needs the package of that name."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from disentangle_indicators import Moments, indicators

__all__ = ["IndicatorMetric"]


class IndicatorMetric(Metric):
    """Indicators of all posteriors since the last reset, over all processes.

    Its states are the sums of :class:`~disentangle_indicators.Moments`, float64, on the device of the
    metric. They are centred, so that processes are merged pair by pair and not added. Rows count as
    independent; of codes with sites, (b, C, h, w), each site is a row.

    Parameters
    ----------
    latents : int
        d, or C of codes with sites.
    prefix : str
        Begins the names of the numbers, as ``"val/"``.
    **given
        What every metric of torchmetrics takes.

    Notes
    -----
    A sampler that pads the last batches of the processes repeats rows, which count twice. Torch's
    ``DistributedSampler`` does so, and Lightning's in validation too.

    Examples
    --------
    >>> metric = IndicatorMetric(2, prefix="val/")
    >>> for _ in range(3):
    ...     metric.update(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]), var=torch.tensor([[0.1, 1.0]] * 2))
    >>> float(metric.compute()["val/used"])
    1.0
    """

    is_differentiable = False
    full_state_update = True

    rows: Tensor

    def __init__(self, latents: int, *, prefix: str = "", **given: Any) -> None:
        super().__init__(**given)
        if latents < 1:
            raise ValueError(f"latents must be at least 1; got {latents}")
        self.latents, self.prefix = latents, prefix
        for name, shape in self._shapes().items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx=None)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        names = ("mean", "mean_scatter", "var", "log_var")
        return {
            "rows": (),
            **dict.fromkeys(names, (self.latents,)),
            "co_scatter": (3, self.latents),
        }

    def update(
        self,
        mean: Tensor,
        var: Tensor | None = None,
        *,
        std: Tensor | None = None,
        logvar: Tensor | None = None,
        logstd: Tensor | None = None,
    ) -> None:
        """Add the posteriors of a batch.

        Parameters
        ----------
        mean : Tensor, shape (b, d) or (b, C, ...)
        var, std, logvar, logstd : Tensor, shape of `mean`
            One of them.

        Raises
        ------
        ValueError
            On shapes that do not fit, and on entries that are not finite or not positive.
        """
        given = {"var": var, "std": std, "logvar": logvar, "logstd": logstd}
        scales: dict[str, Any] = {
            name: _by_site(each) for name, each in given.items() if each is not None
        }
        mean = _by_site(mean)
        if mean.shape[-1] != self.latents:
            raise ValueError(f"mean has {mean.shape[-1]} latents; the metric has {self.latents}")
        if len(mean) == 0:
            return
        found = sum(self._parts(), Moments.of(mean, **scales))
        for name in self._shapes():
            value = found.n if name == "rows" else getattr(found, name)
            setattr(self, name, torch.as_tensor(value, dtype=torch.float64, device=self.device))

    def _parts(self) -> list[Moments]:
        """Return the sums of every process that has rows: of this one alone until they are gathered."""
        counts = self.rows.reshape(-1).tolist()
        found = {
            name: getattr(self, name).reshape(len(counts), *shape)
            for name, shape in self._shapes().items()
            if name != "rows"
        }
        return [
            Moments(n=int(n), **{name: each[k] for name, each in found.items()})
            for k, n in enumerate(counts)
            if n
        ]

    @property
    def moments(self) -> Moments:
        """The sums of this process, which ``score(moments=...)`` takes.

        Raises
        ------
        ValueError
            If no row was added.
        """
        parts = self._parts()
        if not parts:
            raise ValueError("no row was added to the metric")
        found: Moments = sum(parts[1:], parts[0])
        return found

    def compute(self) -> dict[str, Tensor]:
        """Return every indicator that is one number, by name, over all processes.

        Raises
        ------
        ValueError
            If no process has a row.
        """
        scalars = indicators(moments=self.moments).to_scalars(prefix=self.prefix)
        return {name: torch.tensor(value, device=self.device) for name, value in scalars.items()}


def _by_site(values: Tensor) -> Tensor:
    values = values.detach()
    return values.movedim(1, -1).flatten(0, -2) if values.ndim > 2 else values
