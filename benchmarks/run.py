"""All measurements in one go: `make bench`, or `python benchmarks/run.py`."""

from __future__ import annotations

import os
import platform

import import_time
import record


def main() -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}, {platform.system()}")
    print()
    print(import_time.table(import_time.measure()))
    print()
    print(record.table(record.measure()))


if __name__ == "__main__":
    main()
