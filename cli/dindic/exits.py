"""How commands end: bad input exits 2, a failure exits 1, a bug is a traceback."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from dindic.wording import in_options

TIME_IS_UP = 75
"""Exit code of a command that its time limit ended: the same command resumes."""


class BadInput(click.ClickException):
    """Input that is wrong or ambiguous: exit code 2."""

    exit_code = 2


class OutOfMemory(click.ClickException):
    """Input that needs more memory than there is: exit code 4."""

    exit_code = 4


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Turn too little memory, of the machine or of a GPU, into exit code 4."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        from disentangle_indicators._errors import lacks_memory

        if not lacks_memory(error):
            raise
        said = str(error).strip().partition("\n")[0]
        said = re.sub(r"^\[enforce.*?\] *|\.? *(Error code|Of the allocated).*", "", said)
        raise OutOfMemory(f"there is not enough memory ({in_options(said)})") from error


@contextmanager
def bad_input(name: str | None = None) -> Iterator[None]:
    """Turn input that the library refuses, and files that do not exist, into exit code 2.

    A message that does not begin with the name of the input is given that name. Only ValueError
    and OSError are turned, and MemoryError into exit code 4: any other exception is a bug and must
    be seen as one.
    """
    try:
        yield
    except FileNotFoundError as error:
        message = f"no such file: {error.filename}" if error.filename else in_options(str(error))
        raise BadInput(message) from error
    except IsADirectoryError as error:
        raise BadInput(f"{error.filename} is a folder") from error
    except PermissionError as error:
        message = f"{error.filename}: permission denied" if error.filename else str(error)
        raise BadInput(message) from error
    except ValueError as error:
        from numpy.linalg import LinAlgError

        if isinstance(error, LinAlgError):  # a ValueError too, but no input should cause it
            raise
        message = in_options(str(error))
        if name and not message.startswith(name):
            message = f"{name}: {message}"
        raise BadInput(message) from error
    except MemoryError as error:
        message = in_options(str(error)) or "there is not enough memory"
        if name and not message.startswith(name):
            message = f"{name}: there is not enough memory ({message})"
        raise OutOfMemory(message) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error


class Interrupted(click.ClickException):
    """Ctrl-C: exit code 130, as shells have it."""

    exit_code = 128 + signal.SIGINT


class Terminated(click.ClickException):
    """SIGTERM: exit code 143."""

    exit_code = 128 + signal.SIGTERM


STOPPED = "stopped by {}; files that were not finished are removed"


class _Terminated(BaseException):
    """SIGTERM, raised where the program is, so that everything is cleaned up on the way out."""


@contextmanager
def stopping() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a message and the exit code that shells expect."""

    def raised(number: int, frame: Any) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, raised)
    except ValueError:  # not in the main thread, where signals do not arrive
        before = None
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(STOPPED.format("Ctrl-C")) from error
    except _Terminated as error:
        raise Terminated(STOPPED.format("SIGTERM")) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def aborting() -> Iterator[None]:
    """Give Ctrl-C its exit code before and after the command too, where click ends with 1."""
    pressed = []

    def raised(number: int, frame: Any) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        before = signal.signal(signal.SIGINT, raised) if ours else None
    except ValueError:  # not in the main thread
        before = None
    try:
        yield
    except SystemExit as end:
        if pressed and end.code == 1:
            raise SystemExit(Interrupted.exit_code) from end
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


@contextmanager
def failing_output() -> Iterator[None]:
    """Turn a file that cannot be written into exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"cannot write: {error}") from error
