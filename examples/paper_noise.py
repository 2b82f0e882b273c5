"""What section 7 and Appendix A of the paper claim, each as a number (needs torch)."""

import sys

try:
    import torch
except ImportError:
    print("Skipped: this example needs torch (pip install 'disentangle-indicators[models]').")
    sys.exit(0)
from dindic_models.config import Config, make_model
from dindic_models.noise import MixtureOfGaussians
from dindic_models.objective import convention_gap, objective

torch.manual_seed(0)
x, e = torch.rand(64, 1, 8, 8).double(), torch.randn(1, 64, 4).double()


def gradient(beta, sigma2, sign=1.0):
    config = Config("array", "mlp", 4, noise="fixed", sigma2=sigma2, precision="float64")
    model = make_model(config, (1, 8, 8))
    objective(model(x, e), sign * beta).mean().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


one, two, printed = gradient(4, 0.05), gradient(1, 0.2), gradient(4, 0.05, -1)
near = [torch.cosine_similarity(g, two, 0).item() for g in (one, printed)]
print("7.2.1, gradients of beta = 4, sigma^2 = .05 and of beta = 1, sigma^2 = .2:")
print(f"    ratio {one.norm() / two.norm():.4f}, cosine {near[0]:.9f}; as printed {near[1]:.3f}")
print(f"Fig. 4, one model in two conventions, beta = 10: {convention_gap(784, 10):.1f} nats apart")

r = torch.cat([0.02 * torch.randn(7000), 0.3 * torch.randn(3000)]).double().square()
noise = MixtureOfGaussians(2, sigma2=0.1).double()
for _ in range(100):
    noise.update(noise.statistics_of(r, None))
gamma = noise.weights * torch.exp(-0.5 * r[:, None] / noise.variances) / noise.variances.sqrt()
weights = [w.numpy().round(2) for w in (noise.weights, (gamma / gamma.sum(0)).sum(0) / 2)]
print(f"(23), weights of a 7:3 mixture: {weights[0]}, as printed {weights[1]}")
closed = r[torch.randperm(10_000)].unflatten(0, (100, 100)).mean(1)  # (A.1), of 100 batches
down = ((r.mean() / closed + closed.log()).diff() > 0).sum()
print(f"A.1, monotone: closed forms of 100 residuals lower the bound in {down} of 99 updates")
