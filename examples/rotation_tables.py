"""What the Higgins metric says of ideal codes that differ only by a rotation, from its law."""

import numpy as np

from disentangle_indicators.rotation import higgins_law, predicted_accuracy

PAIRS = (8, 64, 512)
NOISE = 0.3
DEGREES = (0, 20, 35, 40, 43, 45)

print("accuracy over 200 Haar rotations: mean [5%, 95%]; instability at L = 64; L for 0.95")
print(f"{'d':>2}", *(f"{f'L = {size}':^22}" for size in PAIRS), "instability", "   L")
for d in (2, 3, 4, 8, 16, 32):
    law = higgins_law(d, rng=0)
    at = np.searchsorted(law.sweep, PAIRS)
    numbers = np.stack([law.sweep_mean, law.sweep_q05, law.sweep_q95], axis=1)[at]
    cells = (f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in numbers)
    print(f"{d:2}", *cells, f"{law.instability:11.3f} {law.pairs_needed:4}")

print(f"\ntwo latents turned by an angle, L = 64: without and with encoder noise of {NOISE}")
for degrees in DEGREES:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    q = np.array([[c, -s], [s, c]])
    clean, noisy = (predicted_accuracy(q, 64, noise) for noise in (0.0, NOISE))
    print(f"{degrees:4} degrees  {clean:.3f}  {noisy:.3f}")
