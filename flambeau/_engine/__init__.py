"""The window of recorded instructions and what decides when it runs."""
