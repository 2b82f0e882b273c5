"""What the names of arrays mean: the literal tables below are the whole knowledge.

Names decide, values never do: in a model with exact posteriors the aggregated variance is within
a few per cent of 1 under the right convention and often under a wrong one, and unused latents have
var = std = 1 in any case.
"""

import re
from typing import NamedTuple

NATIVE = "dindic.encodings/1"
"""The `format` entry of the metadata of the files that write_encodings makes."""

ALIASES = {
    "mean": (
        *("mean", "mu", "mus", "loc", "z_mean", "z_loc", "qzm", "qz_m", "latent_qzm", "embedding"),
        *("ic_mean", "co_means", "post_mean", "m_q"),
    ),
    "var": ("var", "variance", "qzv", "qz_v", "latent_qzv"),
    "std": ("std", "stddev", "z_std", "ic_std", "co_stds"),
    "logvar": (
        *("logvar", "log_var", "z_log_var", "z_logvar", "log_covariance", "log_sigma_x2"),
        "post_logvar",
    ),
    "logstd": ("logstd", "log_std", "z_log_std"),
}
"""Names whose meaning all their known users agree on."""

AMBIGUOUS = {
    "scale": (
        *("scale", "z_scale", "sigma", "log_sigma", "z_log_sigma", "logs", "logs_q", "cov"),
        *("tree_var", "mol_var", "latents_std"),
    ),
    "mean": ("latents_mean",),
    "packed": ("moments", "parameters", "img-mean-std"),
}
"""Names under which different projects store different things.

z_scale is a standard deviation in Pyro and comes before a softplus in Oobleck; tree_var and
mol_var are negative log-variances in JT-VAE; latents_mean and latents_std often describe the
whole data set. moments and parameters hold the mean and the log variance (LDM, diffusers) or the
standard deviation (EDM2) one after the other.
"""

EMBEDDINGS = (
    *("scvi", "scanvi", "totalvi", "multivi", "peakvi", "poissonvi", "ldvae", "linearscvi"),
    *("contrastivevi", "sysvi", "mrvi", "resolvi", "trvae", "scpoli", "scgen", "velovi"),
)
"""Names after X_ in `obsm` of what a variational model calls its latent representation: means alone.

X_pca, X_umap and X_mde are no posterior means.
"""


class Schema(NamedTuple):
    """What one library writes: its name, its scale, the axis of latents and its prior.

    `layout` is "last" where arrays of three axes have their latents on the last one; `prior` says
    what the prior is where it is not N(0, 1).
    """

    library: str
    scale: str
    layout: str = ""
    prior: str = ""


SCHEMAS = {
    ("qzm", "qzv"): Schema("scvi-tools", "var"),
    ("qz_m", "qz_v"): Schema("scvi-tools", "var"),
    ("latent_qzm", "latent_qzv"): Schema("scvi-tools", "var"),
    ("embedding", "log_covariance"): Schema("pythae", "logvar"),
    ("ic_mean", "ic_std"): Schema("LFADS", "std", prior="0.1 in its default settings"),
    ("co_means", "co_stds"): Schema("LFADS", "std", layout="last"),
    ("z_mean", "z_log_var"): Schema("Keras", "logvar"),
    ("mu", "log_sigma_x2"): Schema("lerobot", "logvar"),
}
"""Pairs of names that one library writes together: (mean, scale) -> schema."""

OWN = ("scvi_latent_qzm", "_scvi_latent_qzm")
"""Keys that a library writes by itself, beside those which its user chose."""

SPLITS = ("train", "valid", "validation", "val", "test")

_SPLIT = re.compile(rf"({'|'.join(SPLITS)})_")
_PREFIX = re.compile(r"^(x_)?_?(scvi_|scanvi_|totalvi_|multivi_|ldvae_)?")
_ROLES = {name: kind for kind, names in ALIASES.items() for name in names} | {
    name: f"ambiguous {kind}" for kind, names in AMBIGUOUS.items() for name in names
}


def is_images(key: str) -> bool:
    """Whether a key is that of images, and not of encodings.

    Examples
    --------
    >>> is_images("test/images"), is_images("latents")
    (True, False)
    """
    return key.lower().rpartition("/")[2] in ("image", "images", "img", "imgs")


def is_embedding(key: str) -> bool:
    """Whether a key is that of a latent representation in `obsm`, which has no scale beside it.

    Examples
    --------
    >>> is_embedding("mod/rna/obsm/X_totalVI"), is_embedding("obsm/X_umap")
    (True, False)
    """
    path, _, name = key.lower().rpartition("/")
    return path.rpartition("/")[2] == "obsm" and name.strip("_").removeprefix("x_") in EMBEDDINGS


_SPREAD = re.compile(
    r"var|std|sd|sigma|scale|cov|log|width|precision|spread|error|noise", re.IGNORECASE
)


def may_be_scale(key: str) -> bool:
    """Whether the name of a key could be that of a scale, so that a message may offer it.

    Examples
    --------
    >>> may_be_scale("enc_sigma"), may_be_scale("latents_flip")
    (True, False)
    """
    return bool(_SPREAD.search(key.rpartition("/")[2]))


def folder(key: str) -> str:
    """Return the path before the last part of a key.

    Examples
    --------
    >>> folder("latents/test/mu"), folder("mu")
    ('latents/test', '')
    """
    return key.rpartition("/")[0]


def split(key: str) -> str:
    """Return the part of the data that the last part of a key begins with, "" for none.

    Examples
    --------
    >>> split("train_ic_mean"), split("mean")
    ('train', '')
    """
    found = _SPLIT.match(key.lower().rpartition("/")[2])
    return found[1] if found else ""


def role(key: str) -> str | None:
    """Return what a key names, whatever its case, its prefixes and the folders before it.

    Returns
    -------
    str or None
        "mean", one of the four scales, "ambiguous mean", "ambiguous scale", "ambiguous packed",
        or None.

    Examples
    --------
    >>> role("X_latent_qzm"), role("_scvi_latent_qzv"), role("Sigma"), role("weights")
    ('mean', 'var', 'ambiguous scale', None)
    >>> role("train_ic_mean"), role("mu_"), role("obsm/X_scVI"), role("X_scVI"), role("obsm/X_pca")
    ('mean', 'mean', 'mean', None, None)
    """
    if is_embedding(key):
        return "mean"
    bare = key.lower().rpartition("/")[2].strip("_")
    bare = bare.removeprefix(f"{split(bare)}_") if split(bare) else bare
    return _ROLES.get(bare) or _ROLES.get(_PREFIX.sub("", bare))
