"""A callback for Lightning that logs the indicators of every validation; imports it when asked."""

import sys
from collections.abc import Callable
from typing import Any

from dindic_models.encoder import as_encoder, evaluating
from dindic_models.feed import input_of

__all__ = ["Hooks", "indicator_callback"]

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""Where Lightning's Callback may be."""


class Hooks:
    """What is done in the validation loop, whichever Lightning calls it.

    Parameters
    ----------
    prefix : str
        Begins the names of the numbers.
    returns : str, optional
        What the values of a tuple are that the encoder returns, such as "mean,logvar".
    encode : callable, optional
        From the module and the input of a batch to posteriors; by default the module's `encode`, or
        else its `encoder`.
    """

    def __init__(
        self,
        prefix: str = "val/",
        *,
        returns: str | None = None,
        encode: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        super().__init__()
        self.prefix, self.returns, self.encode = prefix, returns, encode
        self.metric: Any = None

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin without rows."""
        if self.metric is not None:
            self.metric.reset()

    def on_validation_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Encode the batch and add its posteriors; all of it stays on the device."""
        if trainer.sanity_checking:
            return
        changes: dict[str, Any] = {} if self.returns is None else {"returns": self.returns}
        if self.encode is not None:
            encode = self.encode
            changes["output"] = lambda x: encode(pl_module, x)
        encoder = as_encoder(pl_module, **changes)
        with evaluating(encoder):
            mean, scale, convention = encoder.encode(input_of(batch))
        if self.metric is None:
            from dindic_models.metric import IndicatorMetric

            self.metric = IndicatorMetric(mean.shape[1], prefix=self.prefix).to(mean.device)
        self.metric.update(mean, **{convention: scale})

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Log the indicators of the posteriors of all processes."""
        if self.metric is not None and not trainer.sanity_checking:
            pl_module.log_dict(self.metric.compute())


def indicator_callback(
    prefix: str = "val/",
    *,
    returns: str | None = None,
    encode: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Return a callback for Lightning's Trainer that logs the indicators after each validation.

    Every batch of the validation is encoded once more, by the module's `encode`, or else its
    `encoder`, in evaluation mode.

    Parameters
    ----------
    prefix : str
        Begins the names of the numbers.
    returns : str, optional
        What the values of a tuple are that the encoder returns, such as "mean,logvar".
    encode : callable, optional
        ``encode(module, x)``, in place of the module's own methods.

    Returns
    -------
    lightning.pytorch.Callback

    Raises
    ------
    ImportError
        If Lightning is not installed.

    Examples
    --------
    >>> trainer = lightning.Trainer(callbacks=[indicator_callback(returns="mean,logvar")])
    ... # doctest: +SKIP
    """
    kind = type("IndicatorCallback", (Hooks, _base()), {})
    return kind(prefix, returns=returns, encode=encode)


def _base() -> type:
    """Return the Callback of the Lightning that the user has imported, or else of one that is there."""
    from importlib import import_module

    for name in sorted(PACKAGES, key=lambda name: name not in sys.modules):
        try:
            base: type = import_module(name).Callback
        except ModuleNotFoundError:
            continue
        return base
    raise ImportError("this callback needs Lightning: pip install lightning")
