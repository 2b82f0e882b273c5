"""Every threshold by which a latent or a number is called something."""

USED = 0.5
"""Least information of a used latent, in nats: the paper's threshold."""

WEAK = 0.01
"""Least information of a weak latent, in nats; below it the latent is unused."""

OFF_ZERO = 0.05
"""Nats of Definition 3 above which the mean of a latent is off zero: about 0.3 standard deviations."""

NEAR_DETERMINISTIC = 1e-6
"""Greatest share of a near-deterministic latent's posterior variance in its aggregated one."""

ACTIVE_UNIT = 0.01
"""Least Var(mean) of an active unit (Burda, Grosse and Salakhutdinov, 2016)."""

DIVERGED = 1e4
"""Standard deviations of the prior, the spread of a latent beyond which a training has diverged."""

NORMAL_VARIANCE = 0.1
"""Greatest distance of S from 1 of a normal-variance latent."""

HEAVY_TAIL = 9.0
"""Kurtosis of a latent's means, that of t5, above which its standard errors are too small."""

UNSETTLED_TAILS = 6.0
"""Average kurtosis of the means, a Laplace distribution's, above which chance is at least so much."""

SATURATED = 0.1
"""exp(I) / n above which I of the rows is no estimate of I of the population."""

SMALL_COST = 0.01
"""Total correlation that a turn of arbitrary axes changes at most, in nats."""

OTHER_SPREAD = 0.4
"""Median size of the log variance of q(z_h) above which codes spread otherwise than the prior."""

ALMOST_ALL = 0.95
"""Share of rows that use an active latent at least, and that do not use a passive one."""

KEPT = 0.9
"""Share of what a linear map keeps, in nats, that a narrower class of maps must keep."""

SETTLED = 0.01
"""Nats below which a distance counts as none, and the assumption of a theorem as met."""

NOISELESS = 1e6
"""Signal to noise above which posteriors count as deterministic."""

FEWEST_ROWS = 8
"""Rows at least of which turns, matches and theorems have errors."""

OTHER_DIMENSION = 0.5
"""Dimensions by which two clouds differ at least, where their numbers count as different."""

SAME_DIMENSION = 1.0
"""Dimensions by which two clouds differ at most, where their numbers count as the same."""
