"""Exceptions that callers tell apart."""


class Undefined(ValueError):
    """A quantity has no value for this valid input; the message gives the reason.

    Raised on purpose and caught by name: one collapsed latent, or one constant factor, costs its
    own line of a report and no other. A ValueError that is not an Undefined is bad input or a
    mistake in the code, and propagates.
    """
