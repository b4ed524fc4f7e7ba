"""The Tensor class and what surrounds it."""
