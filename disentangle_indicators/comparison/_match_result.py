"""What :func:`match` returns: spaces and axes that encoders share, in a sentence and in tables."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result
from disentangle_indicators.comparison._names import quoted, short_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Match", "MatchedLatent", "MatchedPair", "Ranking"]

PAIRS = 15
"""Pairs of encoders that tables list."""


@dataclass(frozen=True, eq=False)
class MatchedLatent(Result):
    """A latent of one encoder and the latent of another that it belongs to.

    Parameters
    ----------
    latent, partner : int
    correlation, correlation_se : float
        Of the posterior means, with its sign, and the standard error of its size.
    degrees : float
        Angle between the latent, seen in the space of the other encoder, and the nearest axis.
    information, information_linear : float
        Nats of the latent that the partner alone carries, and that all latents carry linearly.
    p_axis : float
        P-value that a random rotation brings the latent so near to an axis, corrected for all
        latents of the pair; 1 where one latent is used.
    verdict : {"same axis", "same space", "not shared", "one axis only"}
        "same space": the other encoder carries the latent, and a rotation is not excluded. "one
        axis only": there is nothing to rotate.
    """

    latent: int
    partner: int
    correlation: float
    correlation_se: float
    degrees: float
    information: float
    information_linear: float
    p_axis: float
    verdict: str


@dataclass(frozen=True, eq=False)
class MatchedPair(Result):
    """Two encoders: the directions that both carry, the map between them, and their latents.

    Parameters
    ----------
    i, j : int
        Numbers of the encoders.
    shared, shared_low, shared_high : int
        Directions that both carry, and their number two standard errors down and up.
    up_to : {"permutation and sign", "rotation", "linear map", "nothing"}
        The narrowest class of maps that keeps 90% of the nats that a linear map keeps; a permutation
        only where the axes of all shared latents agree.
    kept : dict of str to float
        Nats that each class of maps keeps of all latents.
    canonical, canonical_se, canonical_of_samples : array, shape (k,)
        Canonical correlations of means, their standard errors, and those of samples.
    shared_information, shared_information_se : array, shape (k,)
        Nats that both carry of each canonical direction.
    p_space : float
        P-value of the first canonical correlation against shuffled rows.
    chance : float
        Greatest canonical correlation of all shuffles.
    cka, cka_se, cka_of_samples : float
        Linear centred kernel alignment of means, and of samples.
    matched : tuple of MatchedLatent
        One to one, the most alike first.
    """

    i: int
    j: int
    shared: int
    shared_low: int
    shared_high: int
    up_to: str
    kept: dict[str, float]
    canonical: Float
    canonical_se: Float
    canonical_of_samples: Float
    shared_information: Float
    shared_information_se: Float
    p_space: float
    chance: float
    cka: float
    cka_se: float
    cka_of_samples: float
    matched: tuple[MatchedLatent, ...]

    @property
    def axes(self) -> int:
        """Number of latents whose axes agree."""
        return sum(one.verdict == "same axis" for one in self.matched)


class Ranking(NamedTuple):
    """UDR of each encoder, its median under random rotations, a p-value, and the rows it is of."""

    score: Float
    null: Float
    p_value: Float
    rows: int


@dataclass(frozen=True, eq=False, repr=False)
class Match(Result):
    """Encoders of the same rows; the result of :func:`match`.

    Parameters
    ----------
    n : int
        Rows.
    names : tuple of str
    latents : tuple of tuple of int
        Those that were matched, of each encoder.
    widths : tuple of int
        Numbers of all latents.
    pairs : tuple of MatchedPair
        Of the encoders 0 and 1, 0 and 2, and so on.
    ranking : Ranking
        UDR, with the null of random rotations.
    evidence : str
        What shows that the rows correspond.
    n_clusters : int or None
        Clusters, and copies of rows; None where rows are independent.
    dependence : str
        One sentence on clusters or copies of rows.
    rotations, shuffles : int
        Draws of both nulls.
    threshold, level : float
        Nats of a shared direction, and error rate of verdicts on axes.
    seed : int or None
    """

    schema: ClassVar[str] = "dindic.match/1"

    n: int
    names: tuple[str, ...]
    latents: tuple[tuple[int, ...], ...]
    widths: tuple[int, ...]
    pairs: tuple[MatchedPair, ...]
    ranking: Ranking
    evidence: str
    n_clusters: int | None
    dependence: str
    rotations: int
    shuffles: int
    threshold: float
    level: float
    seed: int | None

    @property
    def shared(self) -> Float:
        """Numbers (m, m) of shared directions; on the diagonal those of used latents."""
        return self._matrix(lambda pair: pair.shared)

    @property
    def agreeing(self) -> Float:
        """Numbers (m, m) of latents whose axes agree; on the diagonal those of used latents."""
        return self._matrix(lambda pair: pair.axes)

    def _matrix(self, value: Any) -> Float:
        out = np.diag([float(len(own)) for own in self.latents])
        for pair in self.pairs:
            out[pair.i, pair.j] = out[pair.j, pair.i] = value(pair)
        return out

    @property
    def distance(self) -> Float:
        """Distances (m, m) of spaces: 1 less the share of directions that both carry."""
        shared, own = self.shared, np.array([len(each) for each in self.latents])
        return np.asarray(1 - 2 * shared / (own[:, None] + own))

    @property
    def groups(self) -> list[list[int]]:
        """Encoders in groups in which all span the same space, the largest group first."""
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        tree = linkage(squareform(self.distance, checks=False), "complete")
        codes = fcluster(tree, 1e-9, "distance")
        groups = [[int(k) for k in np.flatnonzero(codes == c)] for c in np.unique(codes)]
        return sorted(groups, key=lambda group: (-len(group), group))

    def same_axes(self, group: Sequence[int]) -> list[int]:
        """Return the latents of the first of a group whose axes agree with those of all others."""
        first = group[0]
        found = set(self.latents[first])
        for pair in self.pairs:
            if pair.i == first and pair.j in group:
                found &= {one.latent for one in pair.matched if one.verdict == "same axis"}
        return sorted(found)

    @property
    def sentence(self) -> str:
        """The answer: which space is the same in which encoders, and for how many latents the axes."""
        group = self.groups[0]
        m = len(self.names)
        if len(group) == 1:
            return self._no_space()
        size = len(self.latents[group[0]])
        found = {pair.up_to for pair in self.pairs if {pair.i, pair.j} <= {*group}}
        widest = next(
            each
            for each in ("nothing", "linear map", "rotation", "permutation and sign")
            if each in found
        )
        where = "both encoders" if m == 2 else f"{len(group)} of {m} encoders"
        text = f"The same {size}-dimensional space in {where}, up to {_article(widest)}"
        if size == 1:
            return f"{text}; one latent has no axes to choose from."
        return f"{text}; the same axes for {len(self.same_axes(group))} of {size} latents."

    def _no_space(self) -> str:
        own = [len(each) for each in self.latents]
        if len(self.names) == 2:
            (pair,) = self.pairs
            axes = f"; the same axes for {_latents(pair.axes)}" if pair.shared else ""
            upto = f", up to {_article(pair.up_to)}" if pair.shared else ""
            return (
                f"The encoders share {pair.shared} of {own[0]} and of {own[1]} dimensions"
                f"{upto}{axes}."
            )
        counts = [pair.shared for pair in self.pairs]
        return (
            f"No two of {len(own)} encoders span the same space: pairs share {min(counts)} to "
            f"{max(counts)} dimensions, and use {min(own)} to {max(own)} latents."
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per matched latent of each two encoders."""
        import pandas as pd

        columns = [f.name for f in fields(MatchedLatent) if f.name != "provenance"]
        rows = [
            {"encoder": self.names[pair.i], "other": self.names[pair.j]}
            | {name: getattr(one, name) for name in columns}
            for pair in self.pairs
            for one in pair.matched
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, with the sentence and the matrices."""
        content = super().to_dict()
        names = ("score", "null", "p_value", "rows")
        ranking = dict(zip(names, content.pop("ranking"), strict=True))
        more = {
            "sentence": self.sentence,
            "shared": self.shared.tolist(),
            "agreeing": self.agreeing.tolist(),
            "udr": ranking,
        }
        provenance = {"provenance": p} if (p := content.pop("provenance", None)) else {}
        return content | more | provenance

    def scalars(self) -> dict[str, float | None]:
        """Return the least and the greatest number of shared directions and of the same axes."""
        shared, axes = ([getattr(p, x) for p in self.pairs] for x in ("shared", "axes"))
        return {
            "shared_least": float(min(shared)),
            "shared_most": float(max(shared)),
            "axes_least": float(min(axes)),
            "axes_most": float(max(axes)),
        }

    def blocks(self) -> list[Block]:
        """Return the sentence, the pairs, the latents and UDR."""
        names = short_names(self.names)
        tables = [_pair_table(self, names)]
        if len(names) > 2:
            tables += [_matrix_table(self, names)]
        if len(names) == 2:
            tables += [_latent_table(self, self.pairs[0], names)]
        else:
            tables += _group_table(self, names)
        return [
            {"MATCH": self.sentence},
            *tables,
            _udr_table(self, names),
            f"That the rows correspond is shown by {self.evidence}. {self.dependence}",
        ]


def _article(up_to: str) -> str:
    return f"a {up_to}" if up_to in ("rotation", "linear map") else up_to


def _latents(count: int) -> str:
    return "1 latent" if count == 1 else f"{count} latents"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.001 else "<0.001"


def _pair_table(r: Match, names: Sequence[str]) -> Table:
    rows = []
    for pair in r.pairs[:PAIRS]:
        low, high = pair.shared_low, pair.shared_high
        spread = f" ({low} to {high})" if low < high else ""
        rows.append(
            (
                f"{names[pair.i]}, {names[pair.j]}",
                f"{len(r.latents[pair.i])}, {len(r.latents[pair.j])}",
                f"{pair.shared}{spread}",
                _p(pair.p_space),
                pair.up_to,
                str(pair.axes),
                with_error(pair.cka, pair.cka_se),
                f"{pair.cka_of_samples:.3f}",
            )
        )
    columns = ("encoders", "used", "shared", "p space", "up to", "same axes", "CKA", "of samples")
    note = (
        f"shared: directions of which both carry more than {r.threshold:g} nats, in brackets their "
        f"number two standard errors down and up; p space: against {r.shuffles} shuffles of the "
        "rows; up to: narrowest map that keeps 90% of the nats of a linear map; same axes: latents; "
        "CKA: linear, of means ± one standard error, then of samples"
    )
    if len(r.pairs) > PAIRS:
        note += f"; {len(r.pairs) - PAIRS} more pairs in the JSON"
    return Table(columns, tuple(rows), "Spaces", note)


def _latent_table(r: Match, pair: MatchedPair, names: Sequence[str]) -> Table:
    rows = tuple(
        (
            str(one.latent),
            str(one.partner),
            with_error(one.correlation, one.correlation_se),
            f"{one.degrees:.1f}°",
            f"{one.information:.2f}",
            f"{one.information_linear:.2f}",
            _p(one.p_axis),
            one.verdict,
        )
        for one in pair.matched
    )
    columns = (
        *(names[pair.i], names[pair.j], "correlation", "angle"),
        *("nats alone", "nats of all", "p axis", "verdict"),
    )
    note = (
        "angle: to the nearest axis of the other encoder; nats alone, of all: what the partner, and "
        f"all latents of the other encoder, carry of the latent; p axis: against {r.rotations} "
        f"random rotations, corrected for all latents, so that {r.level:.0%} of rotated pairs have a "
        "same axis"
    )
    return Table(columns, rows, "Latents", note)


def _matrix_table(r: Match, names: Sequence[str]) -> Table:
    """Return shared directions above the diagonal, and same axes below it."""
    shared, axes = r.shared, r.agreeing
    rows = tuple(
        (
            names[i],
            *(
                f"{(shared if j >= i else axes)[i, j]:.0f}{'*' if i == j else ''}"
                for j in range(len(names))
            ),
        )
        for i in range(len(names))
    )
    note = "above the diagonal: shared directions; on it*: used latents; below it: same axes"
    return Table(("", *names), rows, "Encoders", note)


def _group_table(r: Match, names: Sequence[str]) -> list[Table]:
    """Return the latents of the first encoder and their partners in the others."""
    first = r.groups[0][0]
    others = [pair for pair in r.pairs if pair.i == first]
    if not others or len(others) > PAIRS:
        return []
    rows = []
    for latent in r.latents[first]:
        cells = []
        for pair in others:
            one = next((m for m in pair.matched if m.latent == latent), None)
            mark = {"same axis": "=", "same space": "~", "one axis only": "~"}
            cells.append(
                "-"
                if one is None or one.verdict == "not shared"
                else f"{mark[one.verdict]} {one.partner} ({one.correlation:.2f})"
            )
        rows.append((str(latent), *cells))
    note = (
        "partner and correlation; =: same axis; ~: the other encoder carries the latent, along no "
        "axis of its own; -: not shared"
    )
    columns = (f"latent of {quoted(names[first])}", *(names[pair.j] for pair in others))
    return [Table(columns, tuple(rows), "Latents", note)]


def _udr_table(r: Match, names: Sequence[str]) -> Table:
    rows = tuple(
        (
            names[k],
            f"{r.ranking.score[k]:.3f}",
            f"{r.ranking.null[k]:.3f}",
            _p(float(r.ranking.p_value[k])),
        )
        for k in range(len(names))
    )
    note = (
        f"udr@default of used latents over {r.ranking.rows} rows; rotated: its median where every code "
        "is rotated at random; p: against these rotations"
    )
    return Table(("", "UDR", "rotated", "p"), rows, "Unsupervised disentanglement ranking", note)
