"""The indicators of one encoder as a result: values, errors, counts, and their tables."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._blocks import Block, Table, power_of_ten, with_error
from disentangle_indicators._result import Result, errors_of, plain
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import QStar
from disentangle_indicators.registry import INDICATORS
from disentangle_indicators.states import has_other_spread

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_indicators.aggregate import Marginals

__all__ = ["Indicators", "definition_table", "latent_table"]


SHORT = ("near-deterministic", "near-det.")
"""The state that is too long for a table, and what stands there."""


@dataclass(frozen=True, eq=False, repr=False)
class Indicators(Result):
    """Definitions 1-7 of one encoder, with standard errors, counts and states.

    Values are in nats and in units of the prior; arrays have the shape (d,). Every name in
    `values` and in `counts` can be read as an attribute.

    Parameters
    ----------
    n, d, n_clusters : int
        Rows, latents, and clusters, None where rows are taken as independent.
    values : dict of str to float, array or None
        The indicators of :data:`~disentangle_indicators.registry.INDICATORS` by name; None where
        one has no value (a singular covariance) or the covariance was not asked for.
    counts : dict of str to int
        Of latents: :data:`~disentangle_indicators.registry.COUNTS`.
    threshold : float
        Least information of a used latent.
    used_range : (float, float)
        The thresholds for which the count of used latents is the same.
    solver_difference : float
        Largest difference between Definitions 4/5, 2/6 and 3/7, relative to numbers above 1.
    prior_mean, prior_var : float or array
    states : tuple of str
    second_moment, mean, mean_variance, posterior_variance : array
        S, the average mean, the variance of the means, and the average posterior variance.
    upper_bounds : dict of str to float
        Of I(x; z), by family of q*; empty unless the covariance was asked for.
    chance : dict of str to float
        What a perfect match shows on average: this encoder with independent latents and S = 1.
    chance_at_least : bool
        Whether tails are so heavy that chance is only known to be at least that.
    heavy_tailed : tuple of int
        Latents whose means have a kurtosis above 9, so that their standard errors are too small.
    standard_errors : dict of str to float or array
        By the name of the indicator.
    q_star : QStar
    moments : Moments

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> result = indicators(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 2), 0.5))
    >>> result.used, result.states
    (1, ('used', 'unused'))
    """

    schema: ClassVar[str] = "dindic.indicators/1"

    n: int
    d: int
    n_clusters: int | None
    values: dict[str, Any]
    counts: dict[str, int]
    threshold: float
    used_range: tuple[float, float]
    solver_difference: float
    prior_mean: float | Float
    prior_var: float | Float
    states: tuple[str, ...]
    second_moment: Float
    mean: Float
    mean_variance: Float
    posterior_variance: Float
    upper_bounds: dict[str, float]
    chance: dict[str, float]
    chance_at_least: bool
    heavy_tailed: tuple[int, ...]
    standard_errors: dict[str, Any]
    q_star: QStar
    moments: Moments

    def __getattr__(self, name: str) -> Any:
        """Read an indicator or a count by its name."""
        for part in ("values", "counts"):
            known = self.__dict__.get(part, {})
            if name in known:
                return known[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """List the indicators and counts too."""
        return sorted({*super().__dir__(), *self.values, *self.counts})

    @property
    def draws(self) -> int:
        """The independent draws that there are: clusters, or rows."""
        return self.n if self.n_clusters is None else self.n_clusters

    @property
    def drawn(self) -> str:
        """What was drawn: "rows" or "clusters"."""
        return "rows" if self.n_clusters is None else "clusters"

    def by_chance(self, name: str) -> str | None:
        """Return what a perfect match shows of an indicator, in words; None where not known."""
        value = self.chance.get(name)
        if value is None:
            return None
        value = value if value > 1e-8 else 0.0  # less is rounding
        return f"{'at least' if self.chance_at_least else 'about'} {value:.2g}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, without the moments."""
        left_out = ("moments", "q_star", "values", "counts")
        content = {k: plain(v) for k, v in self.own_fields().items() if k not in left_out}
        q_star = {
            name: plain(getattr(self.q_star, name))
            for name in ("family", "method", "converged", "n_iterations", "residual")
        }
        return self.stamped(
            {
                "schema": self.schema,
                "unit": "nats",
                "estimator": "posterior averages against q* in closed form, in units of the prior",
                "error": f"one standard error of sampling {self.drawn}",
                **plain(self.values),
                **self.counts,
                **content,
                "q_star": q_star,
            }
        )

    def scalars(self) -> dict[str, float | None]:
        """Return the indicators of all latents, the counts, and the standard errors."""
        totals = {n: v for n, v in self.values.items() if not INDICATORS[n].per_latent}
        return {**totals, **self.counts, **errors_of(self.standard_errors)}

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent, the standard errors included."""
        frame = super().to_frame()
        for name, indicator in INDICATORS.items():
            if indicator.per_latent:
                frame[name] = to_numpy(self.values[name])
                if name in self.standard_errors:
                    frame[f"{name}_se"] = to_numpy(self.standard_errors[name])
        frame.insert(0, "state", list(self.states))
        return frame

    def blocks(self) -> list[Block]:
        """Return the table of latents and the table of definitions."""
        return [latent_table(self), definition_table(self)]


def latent_table(
    result: Indicators, exact: "Marginals | None" = None, most: int = 32, remark: str = ""
) -> Table:
    """Return the table of latents, the most informative first.

    Of more than `most` latents the unused ones fold into one line, and so do those that come
    after twice as many. Where codes spread otherwise than the prior, as in latent diffusion, the
    table has the standard deviation of each latent and what scales it to 1.

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
    variance = to_numpy(result.moments.variance)
    scaled = has_other_spread(variance)
    ranked = third if exact is None else exact.information
    order = np.argsort(-ranked, kind="stable")
    few = result.d <= most
    shown = [h for h in order if few or result.states[h] != "unused"][: 2 * most]
    folded = order[~np.isin(order, shown)]
    rows = []
    for h in shown:
        cells = [str(h)]
        if exact is not None:
            cells.append(exact.in_words(h))
        cells += [
            with_error(float(third[h]), None if errors is None else float(errors[h])),
            with_error(float(result.second_moment[h]), None),
            with_error(float(result.kl_posterior_prior_per_latent[h]), None),
            *(_spread(float(variance[h])) if scaled else [f"{result.mean_variance[h]:.4f}"]),
            result.states[h].replace(*SHORT),
        ]
        rows.append(tuple(cells))
    if folded.size:
        states = sorted({result.states[h] for h in folded})
        most_info = [f"≤ {x[folded].max():.3f}" for x in (ranked, third)]
        rows.append(
            (
                f"{len(folded)} more",
                *(most_info if exact is not None else most_info[:1]),
                *("" for _ in range(4 if scaled else 3)),
                ", ".join(states).replace(*SHORT),
            )
        )
    if exact is None:
        information: tuple[str, ...] = ("information [nats]",)
        note = "information: Definition 3, an upper bound of I(x; z_h); S: second moment of q(z_h), 1 for the prior"
    else:
        information = ("I(x; z_h) [nats]", "Def 3 [nats]")
        note = (
            f"I(x; z_h): exact for these rows, by quadrature to {power_of_ten(exact.quadrature_error)} "
            f"nats; {exact.reading()}; Def 3: upper bound of I(x; z_h); S: second moment of q(z_h), 1 for the prior"
        )
    spread = ("std", "1/std") if scaled else ("Var(mean)",)
    if scaled:
        note += "; std: standard deviation of q(z_h)"
    if any(row[-1].startswith(SHORT[1]) for row in rows):
        note += f"; {SHORT[1]}: {SHORT[0]}"
    columns = ("latent", *information, "S", "Def 1 [nats]", *spread, "state")
    return Table(columns, tuple(rows), title="Latents, by information", note=note + remark)


def _spread(variance: float) -> list[str]:
    """Write a standard deviation, and what scales it to 1."""
    sd = math.sqrt(variance)
    return [f"{sd:.4g}", f"{1 / sd:.4g}"]


def definition_table(result: Indicators) -> Table:
    """Return the table of the indicators, with one hint each on how to read it."""
    rows = []
    for name, indicator in INDICATORS.items():
        value = result.values[name]
        if value is None or (indicator.per_latent and indicator.definition is None):
            continue
        if indicator.per_latent:
            text = f"{value.min():.3f} to {value.max():.3f}"
        else:
            digits = 4 if abs(value) < 0.1 and not indicator.covariance else 3
            text = with_error(value, result.standard_errors.get(name), digits)
        if indicator.direction == "lower bound":
            text = f"≥ {text}"
        reading = indicator.reading
        if indicator.by_chance:
            chance = result.by_chance(name)
            if chance is not None:
                reading = indicator.by_chance.format(chance)
            elif (
                result.n_clusters and result.standard_errors and name not in result.standard_errors
            ):
                reading = "no ± from sums over clusters"
            elif result.chance or result.draws == 1:
                reading = f"too few {result.drawn} to trust"
        rows.append((str(indicator.definition or ""), name, text, reading))
    drawn = "rows, which are taken as independent"
    if result.n_clusters is not None:
        drawn = f"{result.n_clusters} cluster{'s' * (result.n_clusters != 1)}"
    note = (
        f"nats; ± one standard error over {drawn}; q* in closed form; two routes to "
        f"4/5, 2/6 and 3/7 differ by {result.solver_difference:.1e} (a check of the solver)"
        f"{units(result)}"
    )
    return Table(
        ("Def", "name", "value [nats]", "how to read it"), tuple(rows), "Indicators", note
    )


def units(result: Indicators) -> str:
    """Return the prior whose units a result is in, as the end of a note; "" for N(0, I)."""
    if np.all(np.asarray(result.prior_mean) == 0) and np.all(np.asarray(result.prior_var) == 1):
        return ""
    given = (result.prior_mean, result.prior_var)
    mean, var = (f"{x:g}" if isinstance(x, float) else "(one per latent)" for x in given)
    return f"; in units of the prior N({mean}, {var})"
