"""What to cite: BibTeX of the package and of the paper, and a methods sentence of a report."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from disentangle_indicators._blocks import Block
from disentangle_indicators._errors import Undefined
from disentangle_indicators._result import Result

__all__ = ["Citation", "cite"]

PAPER = """@unpublished{troubleshooting,
  title  = {Preliminary Theoretical Troubleshooting in Variational Autoencoder},
  author = {{Anonymous authors}},
  note   = {Under double-blind review}
}"""

SOFTWARE = """@software{{disentangle_indicators,
  title   = {{disentangle\\_indicators: what the latents of a VAE learned}},
  author  = {{{{The disentangle\\_indicators authors}}}},
  version = {{{version}}},
  license = {{BSD-3-Clause}}
}}"""

METHODS = {
    "dindic.score": "Definitions 1 to 7 at the closed-form q*, a factorised Gaussian of mean 0",
    "dindic.comparison": "Definitions 1 to 7 at the closed-form q*, a factorised Gaussian of mean 0",
    "dindic.sweep": "Definitions 1 to 7 at the closed-form q*, averaged over encoders",
    "dindic.match": "canonical correlations of posterior means, with axes tested against random "
    "rotations and spaces against shuffled rows",
    "dindic.theorems": "the assumptions of Theorems 1 to 5, with TwoNN and Levina-Bickel estimates of "
    "the intrinsic dimension",
    "dindic.axes": "changes of the total correlation under rotations of pairs of latents",
}
"""Estimators by the schema of a report, without its version."""


@dataclass(frozen=True, eq=False, repr=False)
class Citation(Result):
    """What to cite; the result of :func:`cite`.

    Parameters
    ----------
    bibtex : str
    methods : tuple of str
        One sentence or more for each report.
    """

    schema: ClassVar[str] = "dindic.citation/1"

    bibtex: str
    methods: tuple[str, ...]

    def blocks(self) -> list[Block]:
        """Return the methods and the BibTeX entries."""
        return [*self.methods, self.bibtex]


def cite(reports: Sequence[Mapping[str, Any]] = ()) -> Citation:
    """Return BibTeX entries, and a methods sentence for each report.

    Parameters
    ----------
    reports : sequence of dict
        As ``to_dict`` of a result makes them, or read from JSON.

    Returns
    -------
    Citation

    Raises
    ------
    Undefined
        On a report without a schema.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> card = score(np.eye(2), var=np.ones((2, 2)))
    >>> cite([card.to_dict()]).methods[0].split(":")[0]
    'Computed with disentangle_indicators 0.1.0 from n = 2 rows of d = 2 latents'
    """
    version = sys.modules[__name__.partition(".")[0]].__version__
    entries = SOFTWARE.format(version=version), PAPER
    return Citation("\n\n".join(entries), tuple(map(_methods, reports)))


def _methods(report: Mapping[str, Any]) -> str:
    """Return what a methods section needs of a report."""
    schema = str(report.get("schema", ""))
    if not schema.startswith("dindic."):
        raise Undefined("this is no report of the package: it has no schema")
    about = report.get("provenance") or {}
    version = about.get("version", "of an unknown version")
    first = f"Computed with disentangle_indicators {version}{_rows(report)}"
    method = METHODS.get(schema.partition("/")[0], schema)
    sentences = [f"{first}: {method}{_parts(report)}."]
    split = [each["metadata"]["images"] for each in _files(report) if _has_images(each)]
    if split:
        sentences.append(f"Rows: {'; '.join(dict.fromkeys(split))}.")
    if report.get("n_clusters"):
        sentences.append(f"Standard errors are of {report['n_clusters']} clusters of rows.")
    elif "standard_errors" in report:
        sentences.append("Standard errors are of independent rows.")
    if protocols := [name for each in _files(report) for name in _metrics(each)]:
        sentences.append(f"Metrics and protocols: {', '.join(dict.fromkeys(protocols))}.")
    if about.get("seed") is not None:
        sentences.append(f"Random seed {about['seed']}.")
    hashes = [i for i in about.get("inputs", ()) if i.get("sha256")]
    if hashes:
        listed = ", ".join(f"{each['name']} {each['sha256'][:12]}" for each in hashes)
        sentences.append(f"Inputs by SHA-256: {listed}.")
    return " ".join(sentences)


def _rows(report: Mapping[str, Any]) -> str:
    sizes = dict.fromkeys((each["n"], each.get("d")) for each in _files(report) if "n" in each)
    words = [f"n = {n} rows" + (f" of d = {d} latents" if d else "") for n, d in sizes]
    return f" from {', '.join(words)}" if words else ""


def _files(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return report.get("files") or [report]


def _has_images(report: Mapping[str, Any]) -> bool:
    return bool((report.get("metadata") or {}).get("images"))


def _metrics(report: Mapping[str, Any]) -> list[str]:
    return list(((report.get("metrics") or {}).get("metrics") or {}).keys())


def _parts(report: Mapping[str, Any]) -> str:
    """Return the further estimators of a report of score."""
    one = _files(report)[0]
    text = ""
    if one.get("threshold"):
        text += f"; used latents have more than {one['threshold']:g} nats"
    if one.get("marginals"):
        text += "; marginals of q(z) by quadrature"
    if joint := one.get("joint"):
        text += f"; the joint by Monte Carlo with 2 x {joint['points']} points"
    return text
