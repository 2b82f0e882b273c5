"""What the build of the docs makes from the code: gallery, reports, schema, pages of metrics."""

import json
from pathlib import Path

import metric_pages
import numpy as np

from disentangle_indicators import Encodings, Scorecard, plots, read_encodings, score
from disentangle_indicators.aggregate import density
from disentangle_indicators.comparison import compare, match, sweep
from disentangle_indicators.report import write
from disentangle_indicators.report.schema import SCHEMAS, field_table, schema
from disentangle_indicators.rotation import audit_rotations, axes
from disentangle_indicators.theorems import theorems

HERE = Path(__file__).parent
DATA = HERE.parent / "examples" / "data"
MADE, EXTRA = HERE / "generated", HERE / "generated" / "extra"
"""Folders that git ignores: pages and pictures, and files that are copied as they are."""


def build() -> None:
    """Make everything, once: a build that finds the files leaves them, but for what is fast."""
    MADE.mkdir(exist_ok=True)
    metric_pages.write(MADE)
    schemas()
    if (MADE / "done").exists():
        return
    for folder in (MADE / "gallery", EXTRA / "reports"):
        folder.mkdir(parents=True, exist_ok=True)
    cards = betas()
    gallery(cards)
    reports(cards)
    (MADE / "done").touch()


def gallery(cards: list[Scorecard]) -> None:
    """Draw every plot, from the encodings in examples/; sweeps of encoders that are made up."""
    mnist, sprites = (
        read_encodings(DATA / name) for name in ("mnist_vae.npz", "dsprites_btcvae.npz")
    )
    card, other = score(mnist), score(sprites, metrics="mig")
    history = {
        "epoch": np.arange(1, 31),
        "kl_posterior_prior": 19 * (1 - np.exp(-np.arange(30) / 6)),
        "mutual_information": 18.8 * (1 - np.exp(-np.arange(30) / 6)),
        "kl_aggregate_prior": 0.4 * np.exp(-np.arange(30) / 8),
        "used": np.minimum(np.arange(30) // 2, 10),
    }
    over_beta = sweep(compare(cards), "beta")
    drawn = {
        "pulses": plots.pulses([card, other]),
        "settings": plots.settings(over_beta),
        "rate_distortion": plots.rate_distortion(over_beta),
        "pulse": plots.pulse(card),
        "information": plots.information(other),
        "variances": plots.variances(other),
        "marginals": plots.marginals(other),
        "marginal": plots.marginal(density(sprites, latent=2)),
        "brackets": plots.brackets(other),
        "correlation": plots.correlation(other),
        "matrix": plots.matrix(other),
        "hinton": plots.matrix(other, kind="hinton"),
        "violin": plots.violin(audit_rotations("mig", sprites, rotations=40, search=False, rng=0)),
        "pairs": plots.pairs(axes(sprites, rng=0)),
        "rate": plots.rate(compare([card, other])),
        "matching": plots.matching(match(several(), same_rows=True, rotations=19)),
        "dimensions": plots.dimensions(theorems(mnist, axes=False)),
        "training": plots.training(history),
    }
    for name, ax in drawn.items():
        plots.save(ax, MADE / "gallery" / f"{name}.png")


def encodings(d: int, n: int = 1500, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances of a linear VAE whose latents fade."""
    rng = np.random.default_rng(d)
    var = np.minimum(noise * np.geomspace(0.003, 1.5, d), 0.9999)
    return rng.normal(size=(n, d)) * np.sqrt(1 - var), np.tile(var, (n, 1))


def several() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return six encoders of the same rows, three of which span another space."""
    rng = np.random.default_rng(0)
    codes = [rng.normal(size=(400, 3)) for _ in range(2)]
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(6)]
    return [(codes[k // 3] @ turns[k], np.full((400, 3), 0.05)) for k in range(6)]


def betas() -> list[Scorecard]:
    """Score eight linear VAEs, whose noise, and whose error, grows with beta."""
    found = []
    for beta in (1, 2, 4, 8, 16, 32, 64, 128):
        mean, var = encodings(12, noise=float(beta))
        distortion = {"distortion": f"{np.mean(np.sum(var, axis=1)):.3f}"}
        made = Encodings.of(mean, var, name=f"beta{beta}").replaced(metadata=distortion)
        found.append(score(made, joint=False))
    return found


def reports(cards: list[Scorecard]) -> None:
    """Write the reports of a collapsed encoder, of 128 and 1024 latents, and of eight models."""
    folder = EXTRA / "reports"
    collapsed = np.zeros((1500, 16)), np.ones((1500, 16))
    found = {"mnist": score(DATA / "mnist_vae.npz", theorems=True)}
    for name, (mean, var), options in (
        ("collapsed", collapsed, {}),
        ("128_latents", encodings(128), {"joint": False}),
        ("1024_latents", encodings(1024, 1200), {"joint": False, "marginals": False}),
    ):
        found[name] = score(mean, var=var, name=name, **options)
    found["eight_models"] = compare(cards)
    for name, result in found.items():
        write(result, folder / f"{name}.html", "html")
        write(result, folder / f"{name}.json", "json")


def schemas() -> None:
    """Write the JSON schemas, and their fields as a table."""
    (EXTRA / "schema").mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        kind = name.split(".")[1].replace("/", "-")
        text = json.dumps(schema(name), indent=1, ensure_ascii=False)
        (EXTRA / "schema" / f"{kind}.json").write_text(text + "\n", encoding="utf-8")
    lines = [
        "| field | what it is | unit | direction | range |",
        "| --- | --- | --- | --- | --- |",
    ]
    for path, *row in field_table():
        cells = (cell.replace("|", "\\|").replace("*", "\\*") for cell in row)
        lines.append(f"| `{path}` | " + " | ".join(cells) + " |")
    (MADE / "schema_fields.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
