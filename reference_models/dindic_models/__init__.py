"""Reference variational autoencoders of the paper, in torch."""
