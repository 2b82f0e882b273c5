"""Tables as LaTeX that needs no package, with all that LaTeX takes for a command escaped."""

from collections.abc import Sequence

from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._wrapping import is_numeric

__all__ = ["escaped", "to_latex"]

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    "±": r"\ensuremath{\pm}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "≈": r"\ensuremath{\approx}",
    "β": r"\ensuremath{\beta}",
    "σ": r"\ensuremath{\sigma}",
    "Σ": r"\ensuremath{\Sigma}",
    "λ": r"\ensuremath{\lambda}",
    "°": r"\ensuremath{^\circ}",
    "²": r"\ensuremath{^2}",
    "…": r"\dots{}",
}
"""Signs and what stands for them; any other sign is of Unicode, which LaTeX reads."""


def escaped(text: str) -> str:
    r"""Return a text as LaTeX prints it.

    Examples
    --------
    >>> print(escaped("mig@v2_a: 5% ± 1 & KL(q(z) || p)"))
    mig@v2\_a: 5\% \ensuremath{\pm} 1 \& KL(q(z) \ensuremath{|}\ensuremath{|} p)
    """
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def to_latex(blocks: Sequence[Block]) -> str:
    r"""Return the tables of the blocks as table environments; sentences become comments.

    Examples
    --------
    >>> print(to_latex([{"USED": "2 of 3."}, Table(("a_b", "n"), (("x", "1"),), "Title")]))
    % USED 2 of 3.
    <BLANKLINE>
    \begin{table}
    \caption{Title.}
    \begin{tabular}{lr}
    \hline
    a\_b & n \\
    \hline
    x & 1 \\
    \hline
    \end{tabular}
    \end{table}
    """
    out = []
    for block in blocks:
        if isinstance(block, Table):
            out.append(_table(block))
        else:
            lines = [block] if isinstance(block, str) else [f"{k} {v}" for k, v in block.items()]
            out.append("\n".join(f"% {part}" for line in lines for part in line.splitlines()))
    return "\n\n".join(out) + "\n"


def _table(table: Table) -> str:
    columns = "".join("r" if is_numeric(table, i) else "l" for i in range(len(table.columns)))
    caption = ". ".join(filter(None, (table.title, table.note)))
    end = "" if caption.endswith(".") or not caption else "."

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(escaped, cells)) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            *([rf"\caption{{{escaped(caption)}{end}}}"] if caption else []),
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            line(table.columns),
            r"\hline",
            *map(line, table.rows),
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
