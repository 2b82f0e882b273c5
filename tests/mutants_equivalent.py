"""Mutants that survive and may: (file, statement before, statement after) and the reason."""

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "disentangle_indicators/supervised/sap.py",
        "return np.asarray(np.clip(r, -1.0, 1.0) ** 2)",
        "return np.asarray(np.clip(r, -2.0, 1.0) ** 2)",
    ): "only rounding takes a correlation beyond -1",
    (
        "disentangle_indicators/supervised/irs.py",
        "first = np.flatnonzero(np.diff(label, prepend=-1))",
        "first = np.flatnonzero(np.diff(label, prepend=-2))",
    ): "labels start at 0, and any number below differs from the first one",
    (
        "disentangle_indicators/supervised/mcc.py",
        "shifted = columns - columns[0]",
        "shifted = columns + columns[0]",
    ): "any constant may be added before a correlation is taken",
    (
        "disentangle_indicators/aggregate/_marginals.py",
        "beyond = (REACH + 2) ** 2 / 2 + math.log(tree.n) + widths + 2",
        "beyond = (REACH + 2) ** 2 / 2 + widths + 2",
    ): "it is multiplied by the mass that is not covered, which is rounding, in an error estimate",
    (
        "disentangle_indicators/rotation/_law.py",
        "loss = float(np.mean(np.log(total[:, 0]) - np.sum(truth * logits, axis=1)))",
        "loss = float(np.mean(np.log(total[:, 0]) + np.sum(truth * logits, axis=1)))",
    ): "the loss only decides when Newton's steps end; the fit is within its tolerance both ways",
}
"""Beside them, of an earlier list: the high end of KL(q(z) || p) from the other Monte Carlo run, which
has the same expectation and the same error."""
