"""Rotations of the latent space: which scores depend on them, and which axes the code prefers."""
