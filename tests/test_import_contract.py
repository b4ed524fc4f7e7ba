"""The house rules for imports, read from the source without running it.

1. A module imports only from the layers below its own, or from its own folder.
2. Nothing is imported inside a function, except an optional third-party package.
3. What `import flambeau` loads imports neither third-party packages nor slow standard modules.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "flambeau"

# From the ground up. Units in one row do not know each other.
LAYERS = [
    ["_core", "version"],
    ["_ir"],
    ["_ops"],
    ["_compiler"],
    ["_backends"],
    ["_engine"],
    ["autograd"],
    ["_tensor"],
    ["_api"],
    [
        "accelerator", "amp", "backends", "cpu", "cuda", "fft", "linalg", "masked", "nested", "random", "return_types",
        "signal", "sparse", "special", "types",
    ],
    ["futures"],
    ["nn"],
    ["optim", "overrides", "_C", "_checks", "_tensor_str", "_utils"],
    ["_replay"],
    ["distributed"],
    [
        "__config__", "_subclasses", "compiling", "distributions", "func", "fx", "jit", "multiprocessing", "onnx",
        "profiler", "quasirandom", "running", "serialization", "testing",
    ],
    ["hub"],
    ["utils"],
    ["vision", "safetensors", "library", "compiler"],
    ["ops", "_dynamo"],
    ["apparel"],
    ["cli"],
    ["__init__"],
    ["__main__"],
]  # fmt: skip
RANK = {unit: rank for rank, units in enumerate(LAYERS) for unit in units}
OPTIONAL = {"IPython", "PIL", "matplotlib", "safetensors", "scipy", "tqdm", "typer"}
BEHIND_A_CHECK = {"flambeau.apparel.commands": "typer"}  # imported by cli.py, which says what to do without typer
SLOW = {
    "asyncio", "concurrent", "ctypes", "dataclasses", "http", "inspect", "logging", "multiprocessing", "subprocess",
    "tempfile", "unittest", "urllib", "zipfile",
}  # fmt: skip


class Import(NamedTuple):
    """One imported module: `where` is "module", "function", "guarded" (in a `try`) or "typing" (TYPE_CHECKING)."""

    target: str
    line: int
    where: str


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def unit_of(module: str) -> str:
    """The layer's unit: `flambeau.nn.modules.linear` -> `nn`, `flambeau` -> `__init__`."""
    return (module.split(".") + ["__init__"])[1]


def targets(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
        base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
    # `from flambeau import _api` imports the module flambeau._api; `from flambeau._core import x` may be either.
    names = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in MODULES or name.removeprefix("flambeau.") in RANK else base for name in names]


@cache
def imports(module: str) -> tuple[Import, ...]:
    found = []

    def visit(node: ast.AST, where: str) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.extend(Import(target, node.lineno, where) for target in dict.fromkeys(targets(node, module)))
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child, place(node, field, where))

    visit(ast.parse(MODULES[module].read_text(encoding="utf-8")), "module")
    return tuple(found)


def place(node: ast.AST, field: str, where: str) -> str:
    """Where the children in `field` of `node` stand, if the node itself stands in `where`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return "function"
    if isinstance(node, ast.If) and field == "body" and "TYPE_CHECKING" in ast.dump(node.test):
        return "typing"
    if isinstance(node, ast.Try) and where == "module":
        return "guarded"
    return where


def loaded_by_import() -> set[str]:
    """The modules that `import flambeau` runs: the op table's, and all that follows from module-level imports."""
    seen: set[str] = set()
    todo = ["flambeau", *(module for module in MODULES if unit_of(module) == "_ops")]
    while todo:
        module = todo.pop()
        if module in seen or module not in MODULES:
            continue
        seen.add(module)
        todo.append(module.rpartition(".")[0])
        todo.extend(item.target for item in imports(module) if item.where in ("module", "guarded"))
    return seen


def breaches(module: str) -> list[str]:
    """What `module` does against rules 1 and 2."""
    unit, found = unit_of(module), []
    for target, line, where in imports(module):
        source = f"{MODULES[module].relative_to(PACKAGE.parent)}:{line}"
        root = target.partition(".")[0]
        if root == "flambeau":
            below = unit_of(target)
            if below != unit and RANK[below] >= RANK[unit]:
                found.append(f"{source}: {unit} must not import {target}: it is not in a layer below")
        elif root not in sys.stdlib_module_names | {"numpy", "ml_dtypes", "llvmlite"} | OPTIONAL:
            found.append(f"{source}: {root} is neither a dependency nor an optional package")
        elif root in OPTIONAL and where == "module" and BEHIND_A_CHECK.get(module) != root:
            found.append(f"{source}: import {root} where it is used, and say which extra brings it")
        if where == "function" and root not in OPTIONAL:
            found.append(f"{source}: import {target} at the top of the module, not inside a function")
    return found


def test_every_unit_has_a_layer() -> None:
    assert {unit_of(module) for module in MODULES} <= set(RANK)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    found = breaches(module)
    assert not found, "\n".join(found)


def test_what_the_facade_loads_is_light() -> None:
    heavy = [
        f"{MODULES[module].relative_to(PACKAGE.parent)}:{item.line}: {item.target}: use lazy_module"
        for module in sorted(loaded_by_import())
        for item in imports(module)
        if item.where in ("module", "guarded")
        and (root := item.target.partition(".")[0]) != "flambeau"
        and (root in SLOW or root not in sys.stdlib_module_names)
    ]
    assert not heavy, "\n".join(heavy)


def test_importing_leaves_numpy_alone() -> None:
    """The same, asked of a fresh interpreter."""
    heavy = SLOW | OPTIONAL | {"numpy", "ml_dtypes", "llvmlite"}
    code = f"import sys; before = set(sys.modules); import flambeau; print(*({heavy!r} & set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert (run.returncode, run.stdout.split()) == (0, []), run.stderr


def test_importing_leaves_out_what_not_every_program_uses() -> None:
    late = ("_replay", "serialization", "utils.data", "optim.lr_scheduler", "_compiler.outline", "_backends.cpu")
    code = f"import flambeau, sys; print(*[m for m in {late} if 'flambeau.' + m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert (run.returncode, run.stdout.split()) == (0, []), run.stderr


@pytest.mark.parametrize("collecting", [True, False])
def test_importing_leaves_pythons_collector_as_it_was(collecting: bool) -> None:
    code = f"import gc; {collecting} or gc.disable(); import flambeau; print(gc.isenabled())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.stdout.strip() == str(collecting), run.stderr


def test_the_first_weights_and_step_need_no_compiler() -> None:
    code = """
import sys
import flambeau as torch
layer = torch.nn.Linear(300, 300)
optimizer = torch.optim.Adam(layer.parameters())
layer(torch.rand(10, 300)).sum().backward()
optimizer.step()
print(layer.weight.sum().item() != 0, *{"llvmlite", "ml_dtypes", "flambeau._compiler.outline"} & set(sys.modules))
"""
    usual = {k: v for k, v in os.environ.items() if k not in ("FLAMBEAU_COMPILE", "FLAMBEAU_WINDOW")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, env=usual)
    assert run.stdout.split() == ["True"], run.stdout + run.stderr
