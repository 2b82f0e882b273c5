"""The user's own code: a function that makes the network, or opens the checkpoint itself."""

import importlib
import inspect
import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from dindic_models.checkpoint import file_hash
from dindic_models.encoder import Encoder, as_encoder
from dindic_models.openers._asked import Asked, current_folder
from dindic_models.openers._weights import align, check_fit, read_tensors_of, weights_file

MOST = 8
"""Names of a module that an error lists."""


def find(name: str) -> Callable[..., Any]:
    """Return the function or class that "package.module:factory" names.

    Raises
    ------
    ValueError
        If there is no such module, or nothing of that name in it.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise ValueError(f"encoder must be package.module:factory; got {name!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"importing {module_name} needs {error.name}") from error
        raise ValueError(
            f"there is no module {error.name!r}, neither in {os.getcwd()} nor installed"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, vars(found), 1)
            more = f"; did you mean {near[0]!r}?" if near else _own(found)
            raise ValueError(f"{module_name} has no {attribute!r}{more}")
        found = getattr(found, part)
    if not callable(found):
        kind = type(found).__name__
        raise ValueError(f"{name} cannot be called; it is a {kind}")  # noqa: TRY004
    made: Callable[..., Any] = found
    return made


def _own(found: Any) -> str:
    """Return the functions and classes that a module defines, after a semicolon."""
    names = [
        name
        for name, value in vars(found).items()
        if callable(value) and getattr(value, "__module__", None) == found.__name__
    ]
    return f"; there is {', '.join(names[:MOST])}" if names else ""


def open_with(factory: str | Callable[..., Any], path: Path, asked: Asked) -> Encoder:
    """Make a network by a function, and put the weights of a file into it.

    A function with a required argument gets the path, and returns a model that is ready.

    Raises
    ------
    ValueError
        If the function is not found, or the weights are not those of its network.
    """
    with current_folder():
        made = find(factory) if isinstance(factory, str) else factory
        name = factory if isinstance(factory, str) else getattr(made, "__name__", "a function")
        if _wants_path(made):
            model, words = made(path), f"what {name} makes of {path}"
        else:
            model, words = made(), f"weights from {path} in the network of {name}"
            if not isinstance(model, nn.Module):
                raise ValueError(
                    f"{name} returns a {type(model).__name__}: return an nn.Module, or take the path "
                    "as an argument"
                )
            file = weights_file(path)
            weights = align(read_tensors_of(file, trust=asked.trust), model, file)
            check_fit(model, weights, file)
            model.load_state_dict(weights)
    file = (
        path
        if path.is_file()
        else next(iter(sorted(p for p in path.iterdir() if p.is_file())), path)
    )
    about = {"network": name} | ({"model": file_hash(file)} if file.is_file() else {})
    encoder = as_encoder(model)
    changes: dict[str, Any] = {"about": about | dict(encoder.about)}
    changes |= {} if encoder.source else {"source": words}
    changes |= {} if asked.returns is None else {"returns": asked.returns}
    return as_encoder(encoder, **changes)


def _wants_path(made: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return False
    empty, positional = inspect.Parameter.empty, ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")
    return any(p.default is empty and p.kind.name in positional for p in parameters)
