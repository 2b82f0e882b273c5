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
    (
        "disentangle_indicators/rotation/_law.py",
        "normal = ndtri(np.clip(uniform, 2.0 ** (-32), 1 - 2.0 ** (-32))).T.astype(np.float32)",
        "normal = ndtri(np.clip(uniform, 2.0 ** (-32), 1 - 2.0 * -32)).T.astype(np.float32)",
    ): "Sobol points have 30 bits, so that none is above 1 - 2 ** -32",
    (
        "disentangle_indicators/supervised/_information.py",
        "margin = np.where(freedom > 0, chdtri(np.maximum(freedom, 1), level) - freedom, 0.0)",
        "margin = np.where(freedom >= 0, chdtri(np.maximum(freedom, 1), level) - freedom, 0.0)",
    ): "a code in one bin, or a factor of one class, has I = 0, which is above neither margin",
    (
        "disentangle_indicators/aggregate/_marginals.py",
        "short = np.where(saturated, np.inf, np.where(short < _ROUNDING, 0.0, short))",
        "short = np.where(saturated, np.inf, np.where(short <= _ROUNDING, 0.0, short))",
    ): "no shortfall that is computed equals the limit of rounding to the last bit",
    (
        "disentangle_indicators/supervised/rf_vae.py",
        "for part, of_factor in zip(parts, groups, strict=True):",
        "for part, of_factor in zip(parts, groups, strict=False):",
    ): "there is one list of groups for each part, so that nothing is cut off",
    (
        "disentangle_indicators/supervised/channel.py",
        "n, values = (len(label), int(label.max()) + 1)",
        "n, values = (len(label), int(label.max()) + 2)",
    ): "a class that no row has adds empty columns, which no row looks up",
    (
        "disentangle_indicators/rotation/_binned.py",
        "least = _FINENESS ** 2 - 0.25",
        "least = _FINENESS ** 2",
    ): "mean and variance of a component are kept by any pair of widths; entropies are as near as before",
    (
        "disentangle_indicators/supervised/_information.py",
        "room = np.where(beyond, found.factors - by_chance.mean, 1.0)",
        "room = np.where(beyond, found.factors - by_chance.mean, 2.0)",
    ): "it divides the information where that is 0",
    (
        "disentangle_indicators/aggregate/_joint_result.py",
        "if r.saturation > 0.5:",
        "if r.saturation >= 0.5:",
    ): "at a saturation of exactly one half both sentences are right",
    (
        "disentangle_indicators/aggregate/_monte_carlo.py",
        "kept = (size > 1e-10 * size[0]) & ~of_few",
        "kept = (size > 2e-10 * size[0]) & ~of_few",
    ): "directions of that size are rounding, or there are none",
    (
        "disentangle_indicators/supervised/dcimig.py",
        (
            "return Outcome(float(np.sum(best)) / total if total > 0 else 0.0, per_factor=bes"
            "t / np.where(found.factors > 0, found.factors, 1.0), per_factor_name='gap by ent"
            "ropy', per_latent=gap, matrix=found.mutual, matrix_name=info.matrix_name(p))"
        ),
        (
            "return Outcome(float(np.sum(best)) / total if total > 0 else 1.0, per_factor=bes"
            "t / np.where(found.factors > 0, found.factors, 1.0), per_factor_name='gap by ent"
            "ropy', per_latent=gap, matrix=found.mutual, matrix_name=info.matrix_name(p))"
        ),
    ): "a factor that varies has entropy, and tables without one are refused before",
    (
        "disentangle_indicators/rotation/_law.py",
        "thresholds, share = (np.stack(part) for part in zip(*found, strict=True))",
        "thresholds, share = (np.stack(part) for part in zip(*found, strict=False))",
    ): "each rotation gives one pair, so that nothing is cut off",
    (
        "disentangle_indicators/supervised/dci.py",
        "z = z / np.where(largest > _LARGEST, largest, 1.0)",
        "z = z / np.where(largest >= _LARGEST, largest, 1.0)",
    ): "trees and forests split alike on any scale; only overflow has to be avoided",
    (
        "disentangle_indicators/supervised/dci.py",
        (
            "entropy = -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1) / np.log(max(r.sh"
            "ape[1], 2))"
        ),
        (
            "entropy = -np.sum(p * np.log(np.where(p > 0, p, 2.0)), axis=1) / np.log(max(r.sh"
            "ape[1], 2))"
        ),
    ): "its logarithm is multiplied by p, which is 0",
    (
        "disentangle_indicators/rotation/_binned.py",
        "if (span + 3) * (_WIDTHS * doublings + 3) > _LARGEST:",
        "if (span + 3) * (_WIDTHS * doublings - 3) > _LARGEST:",
    ): "it decides which of two quadratures takes a grid of a million points; both are right there",
    (
        "disentangle_indicators/rotation/_turns.py",
        "_SWEEPS = 8",
        "_SWEEPS = 9",
    ): "a limit of effort: the search ends before, when a sweep turns nothing",
    (
        "disentangle_indicators/aggregate/_log_sums.py",
        "columns = min(n, _COLUMNS, max(64, memory // (64 * d)))",
        "columns = min(n, _COLUMNS, max(64, memory * (64 * d)))",
    ): "the size of blocks changes memory and time, and no number",
    (
        "disentangle_indicators/rotation/_binned.py",
        "least = _FINENESS ** 2 - 0.25",
        "least = _FINENESS ** 2 - 0.5",
    ): "mean and variance of a component are kept by any pair of widths; entropies are as near as before",
    (
        "disentangle_indicators/supervised/modularity.py",
        "relative = known.mutual / np.where(top > 0, top, 1.0)[:, None]",
        "relative = known.mutual / np.where(top > 0, top, 2.0)[:, None]",
    ): "it divides a row of information that is all 0",
    (
        "disentangle_indicators/aggregate/_log_sums.py",
        "_CACHE_BYTES = 1 << 22",
        "_CACHE_BYTES = 2 << 22",
    ): "the size of blocks changes memory and time, and no number",
    (
        "disentangle_indicators/supervised/dci.py",
        (
            "found, coefficients, _ = lasso_path(x[kept] - x_mean, y[kept] - y_mean, alphas=a"
            "lphas, max_iter=5000, precompute=True)"
        ),
        (
            "found, coefficients, _ = lasso_path(x[kept] - x_mean, y[kept] - y_mean, alphas=a"
            "lphas, max_iter=5001, precompute=True)"
        ),
    ): "the path has converged long before, or it warns, which is an error in the tests",
    (
        "disentangle_indicators/supervised/infomec.py",
        "return np.asarray((ranks + rng.random(z.shape)) / len(z))",
        "return np.asarray((ranks + rng.random(z.shape)) * len(z))",
    ): "distances between neighbours are compared, so that the unit of the codes does not count",
    (
        "disentangle_indicators/supervised/_groups.py",
        "pair = label[complete] * (int(column.max(initial=0)) + 1) + column",
        "pair = label[complete] * (int(column.max(initial=0)) + 1) - column",
    ): "pairs of a label and a value are still numbered one to one, in another order",
    (
        "disentangle_indicators/supervised/_groups.py",
        "keep = (np.ptp(z, axis=0) > 0) & (spread > 0)",
        "keep = (np.ptp(z, axis=0) > 0) | (spread > 0)",
    ): "latents are scaled to a size of one before, so that either is positive where the other is",
}
"""Beside them, of an earlier list: the high end of KL(q(z) || p) from the other Monte Carlo run, which
has the same expectation and the same error."""
