"""Follow the indicators while a small VAE is trained, without keeping its encodings."""

import sys

from disentangle_indicators import Moments, indicators
from disentangle_indicators.definitions import kl_posterior_prior

try:
    import torch
except ImportError:
    print("Skipped: this example needs torch (pip install 'disentangle-indicators[models]').")
    sys.exit(0)

torch.manual_seed(0)
torch.set_num_threads(1)
data = torch.randn(2_000, 2) @ torch.randn(2, 8) + 0.3 * torch.randn(2_000, 8)  # two sources
encoder, decoder = torch.nn.Linear(8, 2 * 4), torch.nn.Linear(4, 8)
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.02)

for epoch in range(1, 21):
    moments = None
    for x in data[torch.randperm(len(data))].split(200):
        mean, logvar = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        rate = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(dim=1)
        loss = (((x - decoder(z)) / 0.3) ** 2 / 2).sum(dim=1) + rate
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        # A summary of a batch is a few numbers per latent, and summaries add up.
        batch = Moments.of(mean, logvar.exp())
        moments = batch if moments is None else moments + batch
    if epoch % 5 == 0:
        print(f"epoch {epoch:2d}: Definition 1 = {float(kl_posterior_prior(moments)):.3f} nats")

with torch.no_grad():
    mean, logvar = encoder(data).chunk(2, dim=1)
print(f"{indicators(mean, logvar.exp()).used} of 4 latents are used; the data have 2 sources.")
