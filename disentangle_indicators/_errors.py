"""Exceptions that callers tell apart."""


class Undefined(ValueError):
    """A quantity has no value for this valid input; the message gives the reason.

    Raised on purpose and caught by name: one collapsed latent, or one constant factor, costs its
    own line of a report and no other. A ValueError that is not an Undefined is bad input or a
    mistake in the code, and propagates.
    """


class NoRows(ValueError):
    """A file is read as it should be, and there are no rows in it, as in the last shard of many."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether too little memory, of the machine or of a GPU, is what an exception is about.

    torch raises a RuntimeError of its own for a GPU, and a plain one for the machine.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
