"""Settings of named protocols: those that papers and toolkits state, and no number drifts from them."""

import pytest

from disentangle_indicators.supervised import METRICS

TRAINED = {"train": 10_000, "test": 5_000, "order": "shuffled"}
VOTES = {"train": 10_000, "evaluate": 5_000, "held_out": 0}
WIDTHS_20 = {"bins": 20, "code_bins": "width", "factor_bins": None}
WIDTHS_10 = {"bins": 10, "code_bins": "width", "factor_bins": 10}
TO_CHANCE = {"rescale": True, "values": "values", "factor_bins": 10, "held_out": 0}

# each row is one published protocol, in the words of its source
PUBLISHED = {
    # Higgins et al. (2017): a linear classifier, here without a penalty
    "higgins@higgins2017": VOTES | {"pairs": 64, "C": 1e6},
    # disentanglement_lib, metric_configs of unsupervised_study_v1, and the defaults of its scikit-learn
    "higgins@locatello2019": VOTES | {"pairs": 64, "C": 1, "max_iter": 100, "rescale": False},
    "factor_vae@locatello2019": VOTES | {"batch": 64, "least_sd": 0.05, "rescale": False},
    "mig@locatello2019": WIDTHS_20,
    "modularity@locatello2019": WIDTHS_20,
    "dci@locatello2019": TRAINED | {"model": "boosting", "trees": 100, "depth": 3, "leaf": 1},
    "sap@locatello2019": TRAINED | {"C": 0.01},
    "explicitness@locatello2019": TRAINED | {"C": 1, "max_iter": 100},
    "irs@locatello2019": {"quantile": 0.99, "factor_bins": 20},
    # Suter et al. (2019): the largest deviation
    "irs@suter2019": {"quantile": 1, "factor_bins": 20},
    # Carbonneau et al. (2022): experiments/config.py of their toolkit
    "higgins@ubisoft": TO_CHANCE | {"pairs": 200, "train": 10_000, "evaluate": 5_000},
    "factor_vae@ubisoft": TO_CHANCE
    | {"batch": 200, "train": 800, "evaluate": 800, "least_sd": 0.02},
    "rf_vae@ubisoft": TO_CHANCE
    | {"batch": 200, "pool": 1, "train": 800, "evaluate": 800, "least_sd": 0.02},
    "mig@ubisoft": WIDTHS_10,
    "rmig@ubisoft": WIDTHS_10,
    "jemmig@ubisoft": WIDTHS_10,
    "mig_sup@ubisoft": WIDTHS_10,
    "dcimig@ubisoft": WIDTHS_10,
    "modularity@ubisoft": WIDTHS_10,
    "irs@ubisoft": {"quantile": 1, "factor_bins": 10},
    "dci@ubisoft-lasso": {"alphas": (1e-4, 1e-3, 1e-2, 0.1, 0.2, 0.4, 0.8, 1), "train": None},
    # Eastwood and Williams (2018)
    "dci@eastwood2018-lasso": {"alphas": (0.02,)},
    "dci@eastwood2018-forest": {"trees": 10, "depth": 8},
    # Do and Tran (2020), Cao et al. (2022), Hsu et al. (2023), Dapueto et al. (2024): their code
    "rmig@do2020": {"bins": 100},
    "jemmig@do2020": {"bins": 100},
    "med@cao2022": WIDTHS_20,
    "infomec@hsu2023": {"neighbours": 10, "active": 0.05, "balanced": True, "max_iter": 100},
    "omes@dapueto2024": {"alpha": 0.5, "pairs": 100_000, "least_sd": 0.05},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_settings_are_the_published_ones(name):
    metric, protocol = name.split("@")
    settings = METRICS[metric].protocols[protocol]
    assert {key: settings[key] for key in PUBLISHED[name]} == PUBLISHED[name]
