"""Follow the indicators of a small VAE over its training, in the validation loop."""

import sys

from disentangle_indicators import Moments, indicators, score

try:
    import torch
except ImportError:
    print("Skipped: this example needs torch (pip install 'disentangle-indicators[models]').")
    sys.exit(0)

torch.manual_seed(0)
torch.set_num_threads(1)
data = torch.randn(4_000, 2) @ torch.randn(2, 8) + 0.3 * torch.randn(4_000, 8)  # two sources
training, validation = data.split(2_000)
encoder, decoder = torch.nn.Linear(8, 2 * 4), torch.nn.Linear(4, 8)
model = torch.nn.ModuleList([encoder, decoder])
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)

for epoch in range(1, 21):
    model.train()
    for x in training[torch.randperm(2_000)].split(200):
        mean, logvar = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        rate = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(dim=1)
        loss = (((x - decoder(z)) / 0.3) ** 2 / 2).sum(dim=1) + rate
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    # Not in the loop above: there the encoder changes from batch to batch.
    model.eval()
    with torch.no_grad():
        codes = [encoder(x).chunk(2, dim=1) for x in validation.split(200)]
        moments = sum(Moments.of(mean, logvar=logvar) for mean, logvar in codes)
    log = indicators(moments=moments).to_scalars(prefix="val/")  # for any logger
    if epoch % 5 == 0:
        print(f"epoch {epoch:2d}: val/kl_posterior_prior = {log['val/kl_posterior_prior']:.3f}")

print(f"{score(moments=moments).used} of 4 latents are used; the data have 2 sources.")
