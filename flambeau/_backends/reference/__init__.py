"""The reference backend: NumPy runs one instruction at a time."""
