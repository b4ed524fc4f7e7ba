"""From a window of instructions to kernels: what can be said about a program before it runs."""
