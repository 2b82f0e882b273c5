"""From the words of the library, which are those of Python, to the words of the command line.

The library names an argument as ``scale_key='std'``, ``joint=True`` or ``logvar=``. A command that
has an option for the argument prints the option: ``--scale-key std``, ``--joint``, ``--logvar``. So
does an argument that opens a message, as in ``prior_var must be positive``.
"""

import re

import click

from disentangle_indicators._scales import SCALES

_VALUE = r"(?:'[^']*'|\"[^\"]*\"|True|False)"
_ARGUMENT = re.compile(rf"(?<![^\s(\[])([a-z_]+)=({_VALUE}(?: or {_VALUE})*)?(?![^\s,;:.)\]])")

_SUBJECT = re.compile(r"([a-z_]+)(?= must (?:be|have) )")

ARRAYS = ("mean", *SCALES, "factors", "labels", "clusters", "order")
"""Options whose rules are about what a file contains."""

OF_A_MODEL = ("network", "encoder", "returns", "trust_checkpoint")
"""Options of commands that open any model; the page of a file opens one that needs no more words."""

PHRASES = {
    "run its encoder first, then": "first dindic encode FILE --data IMAGES -o encodings.npz, for "
    "weights alone with --encoder MODULE:NAME or --network burgess; or run its encoder, then",
    "score the file": "dindic score FILE",
    "theorems(axes=True) turns": "dindic theorems FILE --axes turns",
    "Summary.of(...).save(path) makes one": "dindic score FILE --state OUT.npz makes one",
    "score(path) takes it": "dindic merge FILE prints its report",
    "encode these images with their model first": "first dindic encode MODEL --data FILE -o encodings.npz",
    "encode data with the model first": "first dindic encode MODEL -o encodings.npz",
}
"""What the library asks for in words, and the command that does it."""


def in_options(text: str) -> str:
    """Write the arguments in a message of the library as options of the current command.

    An argument without an option stays as it is. So does a path such as ``beta=4/seed=1.npz``:
    only what nothing, or a value in quotes, follows is an argument.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    for phrase, command in PHRASES.items():
        text = text.replace(phrase, command)
    context = click.get_current_context(silent=True)
    if context is None:
        return text
    options = {p.name: p for p in context.command.params if isinstance(p, click.Option)}

    def option(found: re.Match[str]) -> str:
        name, values = found[1], found[2]
        if name not in options and name not in OF_A_MODEL:
            return found[0]
        if name not in options:
            flag = f"dindic traverse --{name.replace('_', '-')}"
        else:
            flag = max(options[name].opts, key=len)
        if values in (None, "True"):
            return flag
        if values == "False":
            return max(options[name].secondary_opts, key=len, default=flag)
        return f"{flag} {'|'.join(value.strip(QUOTES) for value in values.split(' or '))}"

    subject = _SUBJECT.match(text)
    if subject and subject[1] in options and subject[1] not in ARRAYS:
        text = f"{max(options[subject[1]].opts, key=len)}{text[subject.end() :]}"
    return _ARGUMENT.sub(option, text)


QUOTES = "'\""
