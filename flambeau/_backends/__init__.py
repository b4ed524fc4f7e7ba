"""Machines that run instructions. `reference` (NumPy) is the definition of meaning."""
