"""Score the posterior means and log variances that an encoder returned."""

from pathlib import Path

import numpy as np

from disentangle_indicators import score

with np.load(Path(__file__).parent / "data" / "mnist_vae.npz") as encodings:
    mean, logvar, labels = encodings["mu"], encodings["logvar"], encodings["labels"]

card = score(mean, logvar=logvar, labels=labels, name="MNIST test images")
print(card)

# Every number of the table is an attribute, and to_frame() has one row per latent.
error = card.standard_errors["mutual_information"]
print(f"\nDefinition 2: {card.mutual_information:.3f} ± {error:.3f} nats")
best = card.to_frame()["mutual_information_per_latent"].idxmax()
print(f"The most informative latent is number {best}.")
