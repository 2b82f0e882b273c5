"""Compare two encoders of the same inputs, with paired errors of the differences."""

from pathlib import Path

import numpy as np

from disentangle_indicators import score
from disentangle_indicators.comparison import compare

with np.load(Path(__file__).parent / "data" / "mnist_vae.npz") as encodings:
    mean, logvar = encodings["mu"], encodings["logvar"]

# The second model stands for one trained with more noise: all its posteriors are wider.
noise = 0.05
first = score(mean, logvar=logvar, name="first")
second = score(mean, var=np.exp(logvar) + noise, name="second")

print(compare([first, second], paired=True))

apart = compare([first, second]).differences[0]
paired = compare([first, second], paired=True).differences[0]
print(
    f"\nDefinition 2 falls by {-paired['mutual_information']:.3f} nats, "
    f"± {paired['mutual_information_se']:.4f} when the rows are paired and "
    f"± {apart['mutual_information_se']:.4f} when they are not."
)
