"""The four ways in which encoders state the width of a posterior, and the shapes a width has."""

SCALES = ("var", "std", "logvar", "logstd")


def repeated(
    given: tuple[int, ...], shape: tuple[int, ...], name: str
) -> tuple[tuple[int, ...], str] | None:
    """Return how a scale with fewer numbers than the mean is repeated.

    Parameters
    ----------
    given : tuple of int
        Shape of the scale. (n, 1) and (n,) are one width for each row, (1, d) and (d,) one for
        each latent, () and (1,) one for all.
    shape : tuple of int
        Shape of the mean, (n, d) or (n, C, ...).
    name : str
        Of the scale, for messages.

    Returns
    -------
    tuple or None
        The shape that broadcasts to that of the mean, and a note; None for any other shape.

    Raises
    ------
    ValueError
        On (n,) where n = d: it has two meanings.

    Examples
    --------
    >>> repeated((3,), (5, 3), "std")
    ((1, 3), 'std has the shape (3,): one width for each latent, the same in all rows')
    >>> repeated((4,), (5, 3), "std") is None
    True
    """
    n, d = shape[:2]
    if given == (n,) == (d,) != (1,):
        raise ValueError(
            f"{name} has the shape {given}: one width for each row or one for each latent, since "
            f"n = d; give it the shape ({n}, 1) for rows, or (1, {d}) for latents"
        )
    tail = (1,) * (len(shape) - 1)
    fits = {(d,): (1, d, *tail[1:]), (n,): (n, *tail), (): (1, *tail), (1,): (1, *tail)}
    fit = fits.get(given, given)
    if len(fit) != len(shape) or any(a not in (1, b) for a, b in zip(fit, shape, strict=True)):
        return None
    word = "one width for all rows and latents"
    if fit[0] > 1:
        word = "one width for each row, the same in all latents"
    elif max(fit) > 1:
        word = "one width for each latent, the same in all rows"
    return fit, f"{name} has the shape {given}: {word}"
