"""Which rows a summary is of: so that none counts twice, and none is missing."""

import os
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Part", "check_complete", "check_disjoint", "check_names"]


class Part(NamedTuple):
    """Rows that were summarised: what they are called, and a hash of their numbers.

    Parameters
    ----------
    name : str
        Of the file, or of the data set.
    first, rows : int
        The first row in the data set of that name, and how many there are.
    digest : str
        SHA-256 of a hash of each row's means and variances.
    """

    name: str
    first: int
    rows: int
    digest: str

    def __str__(self) -> str:
        """Return the name and the rows."""
        of = f" of {self.name}" if self.name else ""
        return f"rows {self.first} to {self.first + self.rows - 1}{of}"


def check_disjoint(parts: tuple[Part, ...]) -> None:
    """Refuse sorted parts that share rows."""
    digests: dict[str, Part] = {}
    for part in parts:
        if part.digest in digests:
            raise ValueError(
                f"{part} would count twice: {digests[part.digest]} hold the same numbers"
            )
        digests[part.digest] = part
    for before, after in pairwise(parts):
        if before.name == after.name and after.first < before.first + before.rows:
            raise ValueError(
                f"{after} would count twice: {before} are there already. Give each part a name of "
                "its own, or its first_row"
            )


def check_complete(parts: tuple[Part, ...]) -> None:
    """Refuse sorted parts of one data set between which rows are missing."""
    for before, after in pairwise(parts):
        end = before.first + before.rows
        if before.name == after.name and after.first > end:
            missing = Part(after.name, end, after.first - end, "")
            raise ValueError(f"{missing} are missing")


def check_names(there: set[str], wanted: set[str]) -> None:
    """Refuse parts that are not those wanted; ./a and the absolute path of a are a."""
    if not wanted:
        raise ValueError("the list of parts is empty: nothing could be missing")
    here, asked = ({os.path.abspath(name): name for name in names} for names in (there, wanted))
    missing, other = (
        sorted(one[path] for path in one.keys() - two.keys())
        for one, two in ((asked, here), (here, asked))
    )
    if missing or other:
        words = [f"missing: {', '.join(missing)}"] * bool(missing)
        words += [f"not of them: {', '.join(other)}"] * bool(other)
        raise ValueError(
            f"the parts are not those that were listed; {'; '.join(words)}. Names are those that were "
            "scored, seen from this folder"
        )
