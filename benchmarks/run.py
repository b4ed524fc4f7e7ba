"""All measurements in one go: `make bench`, or `python benchmarks/run.py --help`; README.md says how to read them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import fresh
import import_time
import neighbour
import record
import tables
from ceilings import Ceilings
from harness import Options, Row, Worker, measure
from workloads import GROUPS

QUICK = Options(rounds=3, block=0.1, budget=2.0)
PACKAGES = {"flambeau": "flambeau", "replay": "flambeau", "eager": "torch", "compile": "torch", "jax": "jax"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Flambeau beside PyTorch, torch.compile and JAX.")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=2, help="threads for each framework")
    parser.add_argument("--only", metavar="PATTERN", default="", help="regular expression for 'group: workload'")
    parser.add_argument("--rounds", type=int, help="rounds, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="few workloads, short blocks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there, too")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--no-jax", action="store_true", help="without JAX")
    parser.add_argument("--list", action="store_true", help="only list the workloads")
    return parser.parse_args()


def options_of(chosen: argparse.Namespace) -> Options:
    options = QUICK if chosen.quick else Options()
    unwanted = {name for name, off in (("compile", chosen.no_compile), ("jax", chosen.no_jax)) if off}
    present = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
    frameworks = tuple(name for name in present if name not in unwanted)
    rounds = chosen.rounds or options.rounds
    return options._replace(threads=chosen.threads, rounds=rounds, frameworks=frameworks)


Measurement = Callable[[dict[str, Worker]], Iterable[Row]]


def everything(options: Options, quick: bool) -> Iterator[tuple[str, str, Measurement]]:
    """(group, name, function that measures) of all rows."""
    for group, workloads in GROUPS.items():
        for w in workloads:
            if w.quick or not quick:
                yield group, w.name, lambda workers, group=group, w=w: [measure(group, w, workers, options)]
    yield "fresh", "mini-batch network, one core busy", lambda workers: [neighbour.measure(workers, options)]
    # Compiling from nothing takes PyTorch and JAX about a minute each time.
    frameworks = tuple(f for f in options.frameworks if f != "replay" and (not quick or f in ("flambeau", "eager")))
    few = options._replace(frameworks=frameworks)
    yield "fresh", "steps of any batch and length", lambda workers: [fresh.any_shape(few)]
    for key in fresh.FIRST[:1] if quick else fresh.FIRST:
        yield "fresh", f"from nothing to {key}", lambda workers, key=key: fresh.first_steps(key, few)


def chosen_ones(options: Options, quick: bool, pattern: str) -> list[tuple[str, str, Measurement]]:
    return [item for item in everything(options, quick) if re.search(pattern, f"{item[0]}: {item[1]}")]


def measured(items: Iterable[tuple[str, str, Measurement]], options: Options) -> Iterator[tuple[Row, Ceilings]]:
    """The rows, with what the machine could do at most."""
    workers = {framework: Worker(framework, options) for framework in options.frameworks}
    try:
        ceilings = Ceilings(*workers["flambeau"].ask("ceilings", options.threads))
        for _, _, function in items:
            for row in function(workers):
                yield row, ceilings
    finally:
        for worker in workers.values():
            worker.close()


def print_rows(found: Iterable[tuple[Row, Ceilings]]) -> list[Row]:
    """Each row as soon as it is there, under the title of its group."""
    rows: list[Row] = []
    for row, ceilings in found:
        if not rows:
            print(f"Ceilings: {ceilings.flops / 1e9:.0f} GFLOP/s, {ceilings.bandwidth / 1e9:.1f} GB/s")
        if not rows or rows[-1].group != row.group:
            print(f"\n## {row.group}\n", tables.HEAD, tables.RULE, sep="\n")
        print(tables.line(row, ceilings), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    chosen = arguments()
    options = options_of(chosen)
    items = chosen_ones(options, chosen.quick, chosen.only)
    if chosen.list:
        print("\n".join(f"{group}: {name}" for group, name, _ in items))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, {platform.machine()}, {platform.system()}")
    print(f"{options.threads} threads, {options.rounds} rounds, {', '.join(options.frameworks)}")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        print(f"The machine is busy with other work (load {os.getloadavg()[0]:.1f}): the ratios will mislead.")
    start = time.perf_counter()
    if not chosen.only:
        print("", import_time.table(import_time.measure(2 if chosen.quick else import_time.ROUNDS)), "", sep="\n")
        print(record.table(record.measure(50 if chosen.quick else record.ROUNDS)), "", sep="\n")
    rows = print_rows(measured(items, options))
    print(f"\n## summary\n\n{tables.summary(rows)}\n\nDone in {(time.perf_counter() - start) / 60:.1f} minutes.")
    if chosen.json:
        chosen.json.write_text(json.dumps([row._asdict() for row in rows], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
