"""Train a linear VAE, encode its images and score them, where the right answer is known."""

import sys
import tempfile

import numpy as np

from disentangle_indicators import score

try:
    import torch
except ImportError:
    print("Skipped: this example needs torch (pip install 'disentangle-indicators[models]').")
    sys.exit(0)
from dindic_models.config import Config
from dindic_models.data import open_data, rows
from dindic_models.encode import encode
from dindic_models.feed import Feed
from dindic_models.train import train

torch.set_num_threads(1)
rng = np.random.default_rng(0)
bars = rng.uniform(0, [0.9, 0.6, 0.4], (8_000, 3))  # three sources, which are not Gaussian
images = np.repeat(bars, 12, axis=1) + rng.uniform(0, 0.02, (8_000, 36))
linear = {"network": "linear", "activation": "linear", "init": "xavier", "latents": 5}
config = Config("array", **linear, noise="fixed", sigma2=0.01, epochs=14, lr=0.06)

with tempfile.TemporaryDirectory() as folder:
    np.save(f"{folder}/images.npy", images.reshape(-1, 6, 6).astype(np.float32))
    data = open_data(f"{folder}/images.npy")
    model = train(config, data, f"{folder}/run")
    path = encode(f"{folder}/encodings.npz", model, Feed(data, rows(data, "train")))
    with np.load(path) as encoded:
        card = score(encoded["mean"], logvar=encoded["logvar"])

covariance = np.cov(images[rows(data, "train")].T, bias=True)
optimum = 0.5 * np.log(np.maximum(np.linalg.eigvalsh(covariance)[::-1][:5] / config.sigma2, 1))
for name, values in {"trained": card.mutual_information_per_latent, "optimum": optimum}.items():
    print(f"Definition 3, {name}:", *(f"{nats:.2f}" for nats in sorted(values)[::-1]), "nats")
print(f"{card.used} of 5 latents are used; the images have 3 sources.")
