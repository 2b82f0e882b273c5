"""What encode, traverse and the study need of a model: posteriors of a batch, and maybe a decoder."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dindic_models.noise import Noise
from dindic_models.posterior import Posterior, posterior_of
from dindic_models.vae import VAE

if TYPE_CHECKING:
    from dindic_models.checkpoint import Checkpoint

__all__ = ["Encoder", "as_encoder", "evaluating"]

UNIT = (0.0, 1.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoder:
    """A model as a function from a batch to posteriors, whoever made it.

    Attributes
    ----------
    output : callable
        From a batch to what :func:`~dindic_models.posterior.posterior_of` recognises.
    decoder : callable or None
        From codes (b, d) or (b, C, ...) to images or whatever the encoder takes.
    module : nn.Module or None
        What is put into evaluation mode, and on a device.
    noise : Noise or None
        The likelihood p(x | z), of models that state one.
    shape : tuple of int or None
        Of one input, (C, H, W); None for what the model does not state.
    span : (float, float)
        What the black and the white of an image are for this model.
    returns : str or None
        The names of what `output` returns, where it has none.
    source : str
        One sentence about the model.
    notes : tuple of str
        What else must be said of how it was opened.
    about : dict of str
        What is stored beside encodings: a hash of the model, the network, and the like.
    checkpoint : Checkpoint or None
        The settings and the data of a model that was trained here.

    Examples
    --------
    >>> encoder = as_encoder(lambda x: {"mean": x[:, :2], "logvar": x[:, 2:]})
    >>> mean, scale, convention = encoder.encode(torch.ones(5, 4))
    >>> tuple(mean.shape), convention
    ((5, 2), 'logvar')
    """

    output: Callable[[Any], Any] = field(repr=False)
    decoder: Callable[[Tensor], Any] | None = field(default=None, repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    noise: Noise | None = field(default=None, repr=False)
    shape: tuple[int | None, ...] | None = None
    span: tuple[float, float] = UNIT
    returns: str | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict, repr=False)
    checkpoint: "Checkpoint | None" = field(default=None, repr=False)

    def encode(self, x: Any) -> Posterior:
        """Return the posteriors of a batch: means, a scale, and which scale it is.

        Raises
        ------
        ValueError
            If no posterior is recognised in the output, or it has not one row for each input.
        """
        found = posterior_of(self.output(x), self.returns)
        if isinstance(x, Tensor) and len(found.mean) != len(x):
            raise ValueError(
                f"the encoder returns {len(found.mean)} posteriors of {len(x)} inputs: the first "
                "axis must be that of the inputs"
            )
        return found

    def decode(self, z: Tensor) -> Tensor:
        """Return G(z), in the units that the encoder takes.

        Raises
        ------
        ValueError
            If the model has no decoder, or it returns no tensor.
        """
        if self.decoder is None:
            raise ValueError("this model has no decoder, so that no codes can be decoded")
        return _decoded(self.decoder(z))

    def scaled(self, x: Tensor) -> Tensor:
        """Return images in [0, 1] in the units that the model takes."""
        low, high = self.span
        return x if self.span == UNIT else x * (high - low) + low

    def unit(self, x: Tensor) -> Tensor:
        """Return images in the units of the model in [0, 1], not clipped."""
        low, high = self.span
        return x if self.span == UNIT else (x - low) / (high - low)

    @property
    def dtype(self) -> torch.dtype:
        """What inputs of floats are cast to: the precision of the weights."""
        return self._like().dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._like().device

    def _like(self) -> Tensor:
        parameters = iter(()) if self.module is None else self.module.parameters()
        return next((p for p in parameters if p.is_floating_point()), torch.empty(0))

    def to(self, device: torch.device) -> "Encoder":
        """Move the weights to a device."""
        if self.module is not None:
            self.module.to(device)
        return self


def as_encoder(model: Any, **changes: Any) -> Encoder:
    """Return a model as an Encoder.

    Parameters
    ----------
    model : VAE, nn.Module, callable or Encoder
        Of a foreign object the method `encode` gives posteriors, else its `encoder`, else the
        object itself, called. In the same way `decode`, else `decoder`, decodes.
    **changes
        Attributes of the Encoder, such as `returns`.

    Raises
    ------
    ValueError
        If the object cannot be called.

    Examples
    --------
    >>> from dindic_models.config import Config, make_model
    >>> encoder = as_encoder(make_model(Config(latents=4, network="mlp"), (1, 8, 8)))
    >>> encoder.encode(torch.zeros(2, 1, 8, 8)).mean.shape, encoder.shape
    (torch.Size([2, 4]), (1, 8, 8))
    """
    if isinstance(model, Encoder):
        return replace(model, **changes)
    if isinstance(model, VAE):
        own: dict[str, Any] = {
            "output": lambda x: Posterior(*model.encode(x), "logvar"),
            "decoder": model.reconstruct,
            "noise": model.noise,
            "shape": tuple(model.shape),
        }
        return Encoder(module=model, **(own | changes))
    output = _first(model, "encode", "encoder") or model
    if not callable(output):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            f"a {type(model).__name__} cannot be called, and has no encode or encoder"
        )
    module = model if isinstance(model, nn.Module) else None
    decoder = _first(model, "decode", "decoder")
    found: dict[str, Any] = {"output": output, "decoder": decoder, "module": module}
    return Encoder(**(found | changes))


def _first(model: Any, *names: str) -> Callable[..., Any] | None:
    found = (getattr(model, name, None) for name in names)
    return next((each for each in found if callable(each)), None)


def _decoded(output: Any) -> Tensor:
    """Return the tensor in what a decoder returned: itself, or what diffusers and pythae call it."""
    for name in ("sample", "reconstruction"):
        if not isinstance(output, Tensor) and hasattr(output, name):
            output = getattr(output, name)
    if isinstance(output, Mapping) and "reconstruction" in output:
        output = output["reconstruction"]
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        raise ValueError(f"the decoder returns a {kind}, no tensor")  # noqa: TRY004
    return output


@contextmanager
def evaluating(encoder: Encoder) -> Iterator[None]:
    """Evaluate without gradients, and leave the model in the mode it was in."""
    module = encoder.module
    before = {} if module is None else {each: each.training for each in module.modules()}
    if module is not None:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for each, training in before.items():
            each.training = training
