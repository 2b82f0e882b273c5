"""The tables of latents and of definitions that results of an encoder print."""

import math
from typing import Any

import numpy as np

from disentangle_indicators._result import Table
from disentangle_indicators.definitions import DEFINITIONS


def with_error(value: float, error: float | None, digits: int = 3) -> str:
    """Write a value and its standard error with the same number of decimals.

    An error that would be rounded to zero is written as below the last decimal.
    """
    if abs(value) >= 1e6:
        return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.1g}"
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    if error is None:
        return text
    least = 10.0**-digits
    small = 0 < error < least / 2
    return f"{text} ± <{least:.{digits}f}" if small else f"{text} ± {error:.{digits}f}"


def power_of_ten(error: float) -> str:
    """Write an error as the next power of ten above it."""
    return f"1e{math.ceil(math.log10(max(error, 1e-16))):+03d}"


def latent_table(result: Any, exact: Any = None, most: int = 32, remark: str = "") -> Table:
    """Return the table of latents, the most informative first.

    Of more than `most` latents the unused ones fold into one line, and so do those that come
    after twice as many.

    Parameters
    ----------
    result : Indicators
    exact : Marginals, optional
        Ranks the latents in place of Definition 3, which then stands beside.
    most : int
    remark : str
        Ends the note.
    """
    third = result.mutual_information_per_latent
    errors = result.standard_errors.get("mutual_information_per_latent")
    ranked = third if exact is None else exact.information
    order = np.argsort(-ranked, kind="stable")
    few = result.d <= most
    shown = [h for h in order if few or result.states[h] != "unused"][: 2 * most]
    folded = order[~np.isin(order, shown)]
    rows = []
    for h in shown:
        cells = [str(h)]
        if exact is not None:
            error = float(exact.standard_errors["information"][h])
            cells.append(with_error(float(exact.information[h]), error))
        cells += [
            with_error(float(third[h]), None if errors is None else float(errors[h])),
            f"{result.second_moment[h]:.3f}",
            f"{result.kl_posterior_prior_per_latent[h]:.3f}",
            f"{result.mean_variance[h]:.4f}",
            result.states[h],
        ]
        rows.append(tuple(cells))
    if folded.size:
        states = sorted({result.states[h] for h in folded})
        most_info = [f"≤ {x[folded].max():.3f}" for x in (ranked, third)]
        rows.append(
            (
                f"{len(folded)} more",
                *(most_info if exact is not None else most_info[:1]),
                "",
                "",
                "",
                ", ".join(states),
            )
        )
    if exact is None:
        information: tuple[str, ...] = ("information [nats]",)
        note = "information: Definition 3, an upper bound of I(x; z_h); S: second moment of q(z_h)"
    else:
        information = ("I(x; z_h) [nats]", "Def 3 [nats]")
        note = (
            f"I(x; z_h): exact for these rows, by quadrature to {power_of_ten(exact.error)} "
            "nats; Def 3: an upper bound of it; S: second moment of q(z_h)"
        )
    columns = ("latent", *information, "S", "Def 1 [nats]", "Var(mean)", "state")
    return Table(columns, tuple(rows), title="Latents, by information", note=note + remark)


READING = {
    "kl_posterior_prior": "the rate; ≥ Definition 2",
    "mutual_information": "upper bound of I(x; z)",
    "mutual_information_per_latent": "upper bound of I(x; z_h)",
    "kl_aggregate_prior": "KL(q(z) || p) seen by S",
    "kl_q_star_prior": "= Def 4 at the exact q*",
    "mutual_information_via_q_star": "= Def 2 at the exact q*",
    "mutual_information_per_latent_via_q_star": "= Def 3 at the exact q*",
}


def definition_table(result: Any) -> Table:
    """Return the table of the seven definitions, with one hint each on how to read it."""
    rows = []
    for name, (number, _) in DEFINITIONS.items():
        value = getattr(result, name)
        error = result.standard_errors.get(name)
        if isinstance(value, np.ndarray):
            text = f"{value.min():.3f} to {value.max():.3f}"
        else:
            digits = 4 if abs(value) < 0.1 else 3
            text = with_error(value, error, digits)
        if number == 4:
            text = f"≥ {text}"
        rows.append((str(number), name, text, READING[name]))
    if result.gaussian_total_correlation is not None:
        rows += _beyond(result)
    default = np.all(np.asarray(result.prior_mean) == 0) and np.all(result.prior_var == 1)
    units = "" if default else f"; in units of the prior {_prior(result)}"
    drawn = "rows" if result.n_clusters is None else f"{result.n_clusters} clusters"
    note = (
        f"nats; ± one standard error over {drawn}, q* in closed form; two routes to "
        f"4/5, 2/6 and 3/7 differ by {result.solver_difference:.1e} (a check of the solver){units}"
    )
    return Table(
        ("Def", "name", "value [nats]", "how to read it"), tuple(rows), "Indicators", note
    )


def _prior(result: Any) -> str:
    given = (result.prior_mean, result.prior_var)
    mean, var = (f"{x:g}" if isinstance(x, float) else "(one per latent)" for x in given)
    return f"N({mean}, {var})"


def _beyond(result: Any) -> list[tuple[str, str, str, str]]:
    """Rows on the covariance, each with what chance does to it at this n."""
    errors, chance = result.standard_errors, result.chance
    tc = chance.get("gaussian_total_correlation")
    low = chance.get("kl_aggregate_prior_full_mean")
    few = "too few rows to trust"
    bound = with_error(result.upper_bounds["full-mean"], errors.get("upper_bounds.full-mean"))
    value = with_error(result.gaussian_total_correlation, errors.get("gaussian_total_correlation"))
    return [
        ("", "gaussian_total_correlation", value, few if tc is None else f"by chance {tc:.2g}"),
        (
            "",
            "full-covariance bound of I(x; z)",
            bound,
            few if low is None else f"low by ≤ {low:.2g}",
        ),
    ]
