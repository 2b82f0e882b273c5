"""Everything that is simulated, and what each printed number promises."""

from calibration.designs import Design
from calibration.measure import AtLeast, AtMost, Simulation, Within
from calibration.questions import (
    audit,
    ceiling,
    certain,
    chance,
    compared,
    compared_metrics,
    errors,
    informed,
    joint_of_rows,
    metric,
    overstated,
    preferred,
    prior_sentence,
    ranges,
    shortfall,
)

SECTIONS = {
    "Definitions 1 to 7": "Share of samples in which value ± 1.96 standard errors hold the value "
    "of the population, or the report calls the tails too heavy for its errors.",
    "Exact marginals": "The same for the information of latents, with the errors about the population. "
    "Where a latent is saturated, the report gives a lower bound, which the truth must not be below.",
    "The sentence on the prior": "Share of samples in which the lower bounds of KL(q(z) || p) in "
    "the verdict, less 1.96 errors, are below the truth, or no bound is printed.",
    "Chance": "What the report says that a perfect match shows at this n, beside what samples of "
    "a perfect match show on average.",
    "Joint": "Share of samples in which a range holds the population, or is not given; in which "
    "value ± 1.96 errors hold the rows; in which the check of the sum raises an alarm.",
    "Certain bounds": "Share of samples in which the bounds hold the information of the rows.",
    "Metrics: level": "Share of samples without any relation of code and factors whose p-value is "
    "at most .05, or the least that the permutations allow.",
    "Metrics: power": "The same where the first two latents hold one factor each.",
    "Metrics: standard errors": "The standard error that is printed, on average, beside the "
    "standard deviation of the score over samples.",
    "Metrics: ceilings": "The ceiling that is printed, beside the score of a perfect code with "
    "noise of 1% of the spacing of its values.",
    "Rotation audit": "Share of samples whose p-value is at most .05.",
    "Axes": "Share of samples in which the first pair of latents gets a verdict.",
    "Channel": "Share of samples in which a latent is called more informative than it is.",
    "Comparisons": "Differences of two encoders ± 1.96 errors, of the same rows (paired) or of "
    "independent rows; and the error of differences of metrics.",
}
"""Headings of the page, each with what its table shows."""

NOMINAL, NEARLY, FEW = AtLeast(0.93), AtLeast(0.92), AtLeast(0.9)
LEVEL, POWER, QUARTER = AtMost(0.05), AtLeast(0.9), Within(0.25, 1e-3)

FEW_VALUES = (
    "too large: rows that are equal in all latents are taken for copies, so that fewer rows than "
    "there are count as independent"
)

NEARLY_FLAT = (
    "too small: S of one latent is often near 1 by chance, where Definition 4 is least and flat; "
    "the sum over latents is not"
)

NEARLY_SQUARE = (
    "too large: the error stands between that of an average and that of a square, and the "
    "difference of two weak scores of the same rows is nearly a square"
)

ANY_LATENTS = (
    "too small: with few clusters and a weak signal it is chance which latents count at all, and "
    "the halves of one sample agree on that more than samples do"
)

DEFINITIONS = tuple(f"Definition {k}" for k in (1, 2, 3, 4, 5, 6, 7))

CHANCE = tuple(
    f"chance of {what}"
    for what in ("Definition 4", "the Gaussian total correlation", "the full distance")
)
RANGES = tuple(
    f"range of {what}" for what in ("I(x; z)", "the total correlation", "KL(q(z) || p)")
)
DIFFERENCES = tuple(f"difference of Definition {k}" for k in (1, 2, 4))

METRICS = (
    "mig", "rmig", "jemmig", "mig_sup", "dcimig", "dmig", "dci", "med", "sap", "modularity",
    "explicitness", "irs", "infomec", "omes", "mcc", "higgins", "factor_vae", "rf_vae",
)  # fmt: skip
CHEAP = ("mig", "dmig", "med", "modularity", "explicitness", "mcc", "sap", "irs", "jemmig")
"""Metrics whose halves are cheap enough for their errors."""

FIVE = ("higgins", "dci", "explicitness", "infomec", "factor_vae", "rf_vae", "omes")
"""Metrics of which four permutations are run: the least p-value is .2, and the level is as high."""


def promise(names, what):
    """Promise the same of several outcomes."""
    return dict.fromkeys(names, what)


SIMULATIONS = (
    # Definitions: independent rows
    *(
        Simulation(
            "Definitions 1 to 7", errors, design, promise(DEFINITIONS, what), replications=1000,
            quick=quick,
        )
        for design, what, quick in (
            (Design(200, 4, spread=1.5, offset=0.5, widths=0.3), NOMINAL, True),
            (Design(2000, 4, spread=1.5, offset=0.5, widths=0.3), NOMINAL, False),
            (Design(500, 10, spread=1.3, shape="uniform"), NOMINAL, False),
            (Design(500, 10, spread=1.3, shape="laplace"), NEARLY, False),
            (Design(500, 4, spread=1.3, shape="t9"), NEARLY, False),
            (Design(2000, 64, used=15, spread=1.2), NOMINAL, False),
            (Design(1000, 4, spread=1.5, width=1e-6), NOMINAL, False),
            (Design(2000, 2, spread=1.3, shape="t3"), FEW, False),
        )
    ),
    Simulation(
        "Definitions 1 to 7", errors, Design(500, 2, spread=1.3, correlation=0.5),
        promise(("Gaussian total correlation",), NOMINAL), replications=1000,
    ),
    # Definitions: clusters
    *(
        Simulation(
            "Definitions 1 to 7", errors, Design(20 * count, 4, spread=1.5, clusters=count),
            promise(DEFINITIONS, NEARLY), replications=1000, quick=count == 10,
        )
        for count in (10, 20, 40)
    ),
    Simulation(
        "Definitions 1 to 7", errors, Design(200, 1, spread=1.5, clusters=10),
        promise(DEFINITIONS, NEARLY), replications=1000,
        remarks=dict.fromkeys(("Definition 4", "Definition 5"), NEARLY_FLAT),
    ),
    # marginals
    *(
        Simulation(
            "Exact marginals", informed, Design(n, 2, width=width, shape=shape),
            promise(("I(x; z_h)", "sum of I(x; z_h)"), FEW), quick=quick,
        )
        for n, width, shape, quick in (
            (200, 0.1, "gaussian", True),
            (200, 1e-3, "gaussian", True),
            (2000, 1e-3, "gaussian", False),
            (2000, 1e-4, "gaussian", False),
            (500, 0.01, "uniform", False),
            (500, 0.01, "laplace", False),
            (500, 0.05, "t9", False),
            (500, 0.05, "grid", False),
        )
    ),
    *(
        Simulation(
            "Exact marginals", informed, Design(n, d, width=width, clusters=clusters, spread=1.5),
            promise(("I(x; z_h)", "sum of KL(q(z_h) || p) ≥ a"), what),
        )
        for n, d, width, clusters, what in (
            (500, 4, 0.1, 0, FEW), (200, 2, 0.1, 10, FEW), (400, 2, 0.1, 20, FEW),
        )
    ),
    # the sentence on the prior
    *(
        Simulation(
            "The sentence on the prior", prior_sentence, design,
            promise(("KL(q(z) || p) ≥ a is true, or not printed",), FEW), quick=quick,
        )
        for design, quick in (
            (Design(200, 10, width=0.1), True),
            (Design(50, 10, width=1e-8), True),
            (Design(200, 10, width=1e-6), False),
            (Design(300, 4, width=1e-7, spread=30.0), False),
            (Design(300, 32, used=5, shape="uniform", width=0.05), False),
            (Design(500, 32, used=6, width=0.05, spread=1.04), False),
            (Design(500, 4, width=0.1, shape="t9"), False),
            (Design(200, 4, width=0.1, clusters=10), False),
        )
    ),
    # chance
    *(
        Simulation("Chance", chance, design, promise(CHANCE, QUARTER), replications=k, quick=quick)
        for design, k, quick in (
            (Design(200, 10, width=0.01), 1000, True),
            (Design(500, 10, width=0.3), 1000, False),
            (Design(2000, 128, used=15, width=0.05), 500, False),
            (Design(500, 32, used=6, width=0.05), 1000, True),
            (Design(300, 128, used=0), 500, False),
            (Design(200, 100, width=0.05), 1000, False),
            (Design(2000, 2, width=0.05), 1000, False),
            (Design(500, 10, width=0.05, shape="uniform"), 1000, False),
            (Design(500, 10, width=0.05, shape="laplace"), 1000, False),
            (Design(1000, 10, width=0.05, shape="t9"), 1000, True),
            (Design(400, 6, width=0.05, clusters=40), 1000, False),
        )
    ),
    Simulation(
        "Chance", chance, Design(2000, 10, width=0.05, shape="t5"),
        {"chance is said to be a least value": FEW},
    ),
    *(
        Simulation(
            "Chance", shortfall, design,
            promise(("shortfall of sum of I(x; z_h)",), QUARTER), quick=quick,
            remarks={"shortfall of sum of I(x; z_h)": FEW_VALUES} if design.shape == "grid" else {},
        )
        for design, quick in (
            (Design(200, 4, width=0.5), True),
            (Design(500, 4, width=0.9), False),
            (Design(500, 4, width=0.05), False),
            (Design(500, 8, used=2, width=0.05), False),
            (Design(500, 4, width=0.05, shape="uniform"), False),
            (Design(500, 4, width=0.05, shape="laplace"), False),
            (Design(500, 4, width=0.02, shape="grid"), False),
        )
    ),
    # joint
    *(
        Simulation(
            "Joint", ranges, design,
            {**promise(RANGES, what), "false alarm of the check": AtMost(0.005)}, quick=quick,
        )
        for design, what, quick in (
            (Design(150, 3, width=0.1), FEW, True),
            (Design(200, 6, width=0.03), FEW, False),
            (Design(200, 2, width=0.1, shape="uniform"), FEW, False),
            (Design(200, 3, width=0.1, correlation=0.8), FEW, False),
            (Design(200, 16, used=4, width=0.1), FEW, False),
            (Design(200, 4, width=1e-3), FEW, False),
            (Design(200, 2, width=0.1, clusters=10), FEW, False),
            (Design(200, 4, width=0.03, copies=5), FEW, True),
            (Design(200, 4, width=0.03, copies=5, jitter=0.01), FEW, True),
        )
    ),
    *(
        Simulation(
            "Joint", joint_of_rows, Design(n, 2, width=0.01, shape="grid"),
            {
                "I(x; z) of the rows": FEW, "TC of the rows": FEW,
                "false alarm of the check": AtMost(0.005),
            },
            {"points": points}, quick=n == 200,
        )
        for n, points in ((200, 400), (500, 1000))
    ),
    # certain bounds
    *(
        Simulation(
            "Certain bounds", certain, Design(100, 1, width=width),
            {"certain bounds": AtLeast(1), "bounds from a quarter of the rows": NEARLY},
            quick=width == 0.1,
        )
        for width in (0.1, 1e-4)
    ),
    # metrics
    *(
        Simulation(
            "Metrics: level", metric, Design(100, 3),
            {f"{name}: p at its least": AtMost(0.2 if name in FIVE else 0.05)},
            {"name": name, "permutations": 4 if name in FIVE else 19},
            quick=name in ("mig", "modularity", "mcc", "dmig"),
        )
        for name in METRICS
    ),
    *(
        Simulation(
            "Metrics: level", metric, Design(400, 3),
            {f"{name}: p at its least": LEVEL},
            {"name": name, "permutations": 19, "clusters": 20}, quick=name == "mig",
        )
        for name in ("mig", "sap", "mcc", "modularity", "med")
    ),
    *(
        Simulation(
            "Metrics: power", metric, Design(100, 3),
            {f"{name}: p at its least": POWER},
            {"name": name, "permutations": 4 if name in FIVE else 19, "signal": 2.0},
            quick=name in ("mig", "mcc"),
        )
        for name in METRICS
    ),
    *(
        Simulation(
            "Metrics: standard errors", metric, Design(300, 3),
            {f"{name}: standard error": Within(0.25, 1e-3)},
            {"name": name, "permutations": 0, "halves": 20, "signal": 1.0},
            quick=name in ("mig", "mcc"),
        )
        for name in (*CHEAP, "infomec")
    ),
    Simulation(
        "Metrics: standard errors", metric, Design(600, 3),
        {"mig: standard error": Within(0.3, 1e-3)},
        {"name": "mig", "permutations": 0, "halves": 20, "signal": 3.0, "clusters": 60},
    ),
    *(
        Simulation(
            "Metrics: standard errors", metric, Design(300, 3),
            {f"{name}: standard error": Within(0.25, 1e-3)},
            {"name": name, "permutations": 0, "halves": 20, "signal": signal, "clusters": clusters},
            remarks={"med: standard error": ANY_LATENTS} if clusters else {},
        )
        for name, signal, clusters in (
            ("dcimig", 4.0, 0), ("mig_sup", 4.0, 0), ("modularity", 4.0, 0),
            ("explicitness", 4.0, 0), ("infomec", 0.5, 0), ("med", 0.5, 20),
        )
    ),
    *(
        Simulation(
            "Metrics: ceilings", ceiling, Design(200, 3),
            {f"{name}: ceiling": Within(0.02, 0.01)}, {"name": name},
            quick=name in ("mig", "sap", "mcc", "modularity"),
        )
        for name in METRICS
        if name not in ("rf_vae", "factor_vae", "higgins", "omes", "dci")
    ),
    # audit
    *(
        Simulation(
            "Rotation audit", audit, Design(150, 3),
            {f"audit of {name}: p ≤ .05": what}, {"name": name, "signal": signal},
            quick=name == "mig",
        )
        for name, signal, what in (
            ("mig", 0.0, LEVEL), ("mig", 3.0, POWER), ("mcc", 0.0, LEVEL), ("mcc", 3.0, POWER),
            ("sap", 0.0, LEVEL), ("modularity", 0.0, LEVEL),
        )
    ),
    # axes
    *(
        Simulation("Axes", preferred, design, {name: what}, options, quick=quick)
        for design, options, name, what, quick in (
            (Design(200, 2), {}, "called identified", LEVEL, True),
            (Design(200, 2, width=1e-3), {}, "called identified", LEVEL, False),
            (Design(300, 2), {"scale": (1.0, 0.5)}, "called by variance", POWER, True),
            (Design(300, 2, width=1e-10, correlation=0.7), {}, "called arbitrary", LEVEL, False),
            (
                Design(300, 2, width=0.02, shape="uniform"), {"turn": 45}, "called better axes",
                POWER, False,
            ),
        )
    ),
    # channel
    *(
        Simulation(
            "Channel", overstated, Design(200, 3, width=width),
            {"called more informative than it is": what}, {"signal": signal}, quick=True,
        )
        for width, signal, what in ((0.1, 0.0, LEVEL), (0.5, 0.0, LEVEL), (0.5, 0.01, POWER))
    ),
    # comparisons
    *(
        Simulation(
            "Comparisons", compared, design, promise(DIFFERENCES, what), {"paired": paired},
            replications=1000, quick=design.n == 300,
        )
        for design, paired, what in (
            (Design(300, 4, spread=1.5), True, NOMINAL),
            (Design(300, 4, spread=1.5), False, NOMINAL),
            (Design(500, 4, spread=1.5, shape="laplace"), True, NEARLY),
            (Design(200, 4, spread=1.5, clusters=10), True, NEARLY),
            (Design(200, 4, spread=1.5, clusters=10), False, NEARLY),
        )
    ),
    *(
        Simulation(
            "Comparisons", compared_metrics, Design(300, 3),
            {f"difference of {name}: standard error": Within(0.25, 1e-3)},
            {"name": name, "paired": paired}, quick=name == "mig" and not paired,
            remarks={"difference of mig: standard error": NEARLY_SQUARE} if paired else {},
        )
        for name in ("mig", "mcc")
        for paired in (True, False)
    ),
)  # fmt: skip
"""Every simulation of the page, in its order."""
