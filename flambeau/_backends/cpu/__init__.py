"""The CPU backend: LLVM text from Python, compiled by llvmlite, run by a native pool of threads."""
