"""Models on disk, whoever wrote them: each kind has an opener, which makes an Encoder of it.

An opener is one module with `WHAT`, ``matches(path)`` and ``open(path, asked)``. The first one that
matches opens the model. Only the user's own code runs, and code in a file that is trusted.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from dindic_models.checkpoint import place_of, refuse_encodings
from dindic_models.encoder import Encoder
from dindic_models.openers import (
    diffusers,
    exported,
    huggingface,
    onnx,
    pythae,
    run,
    torchscript,
    weights,
)
from dindic_models.openers._asked import WITH_OWN_CODE, Asked
from dindic_models.openers._factory import open_with
from dindic_models.posterior import parse_returns

__all__ = ["OPENERS", "open_encoder"]

OPENERS: dict[str, ModuleType] = {
    "diffusers": diffusers,
    "pythae": pythae,
    "huggingface": huggingface,
    "run": run,
    "onnx": onnx,
    "torchscript": torchscript,
    "exported": exported,
    "weights": weights,
}
"""The openers, in the order in which a path is compared with them."""


def open_encoder(
    path: str | os.PathLike[str],
    *,
    network: str | None = None,
    encoder: str | Callable[..., Any] | None = None,
    returns: str | None = None,
    trust_checkpoint: bool = False,
) -> Encoder:
    """Open a model, whoever wrote it, as an Encoder.

    Parameters
    ----------
    path : path
        A folder of training or the name of a bundled model; a folder of diffusers, by itself or in a
        pipeline; a folder of pythae; an .onnx file; a state_dict; and, if they are trusted, what is
        executed when it is loaded: TorchScript, .pt2, pickled modules.
    network : str, optional
        The built-in architecture of a file of weights ("burgess" only so far).
    encoder : "package.module:factory" or callable, optional
        Your own code, found from the current folder too. A function without a required argument, or a
        class, makes the network, into which the weights of `path` are put. A function with one gets the
        path and returns a model that is ready.
    returns : str, optional
        What the values are that the encoder returns, such as "mean,logvar", where they have no names.
    trust_checkpoint : bool
        Whether code in the file may run.

    Returns
    -------
    Encoder
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        If there is no such file, folder or bundled model.
    ValueError
        If the path is no model, needs more to be said, is damaged, or would run code.

    Examples
    --------
    >>> open_encoder("beta10").shape
    (1, 28, 28)
    """
    if returns is not None:
        parse_returns(returns)
    asked = Asked(network, returns, trust_checkpoint)
    path = place_of(path)
    if not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path} is no file and no folder: a model is one or the other")
    if encoder is not None:
        if network is not None:
            raise ValueError("give encoder= or network=, not both")
        return open_with(encoder, path, asked)
    for opener in OPENERS.values():
        if opener.matches(path):
            if (
                network is None
                and opener in (run, weights)
                and not (path / "config.json").is_file()
            ):
                refuse_encodings(path)
            found: Encoder = opener.open(path, asked)
            return found
    refuse_encodings(path)
    raise ValueError(
        f"{path} is no file of weights, whose name ends in {', '.join(weights.WEIGHTS)}, and no other "
        f"model that is known: {', '.join(opener.WHAT for opener in OPENERS.values())}. Compute the "
        "encodings where the model was made, and save them: np.savez('encodings.npz', mean=mean, "
        f"logvar=logvar); or {WITH_OWN_CODE}"
    )
