"""Writes `docs/api.md`: the names of PyTorch's API that are here, and those that are not, with what comes nearest.

python tools/api_page.py
"""

from __future__ import annotations

import importlib
import textwrap
import types
from pathlib import Path

import flambeau
from flambeau._core.homes import TABLE
from flambeau._core.unsupported import GROUPS
from flambeau._core.unsupported_modules import PARTLY

PAGE = Path(__file__).parents[1] / "docs" / "api.md"

NAMESPACES = (
    "torch", "torch.Tensor", "torch.accelerator", "torch.amp", "torch.autograd", "torch.autograd.functional",
    "torch.autograd.graph", "torch.compiler", "torch.cpu", "torch.cuda", "torch.distributed", "torch.distributions",
    "torch.distributions.constraints", "torch.distributions.transforms", "torch.distributions.utils", "torch.fft",
    "torch.func", "torch.hub", "torch.jit", "torch.library", "torch.linalg", "torch.masked", "torch.multiprocessing",
    "torch.nested", "torch.nn", "torch.nn.attention", "torch.nn.attention.bias", "torch.nn.attention.flex_attention",
    "torch.nn.functional", "torch.nn.init", "torch.nn.parallel", "torch.nn.utils", "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize", "torch.nn.utils.prune", "torch.nn.utils.rnn", "torch.ops.aten", "torch.optim",
    "torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.overrides", "torch.profiler", "torch.quasirandom",
    "torch.random", "torch.return_types", "torch.serialization", "torch.signal.windows", "torch.sparse",
    "torch.special", "torch.testing", "torch.types", "torch.utils", "torch.utils.benchmark", "torch.utils.checkpoint",
    "torch.utils.collect_env", "torch.utils.data", "torch.utils.data.datapipes.iter", "torch.utils.data.datapipes.map",
    "torch.utils.dlpack", "torch.utils.hooks", "torch.utils.model_zoo", "torch.utils.tensorboard", "torch.utils.weak",
)  # fmt: skip

# What modules without a list of their names have for themselves.
HOUSE = {"annotations", "Any", "TYPE_CHECKING", "absent", "lazy_module", "ANSWERS", "REFUSED"}

HEAD = """\
# The API

`import flambeau as torch`: these names of PyTorch's are here and mean what they mean there. A name that is not here
raises an error that says what is missing and what comes nearest; `hasattr` says no. Written by `tools/api_page.py`.
"""

ELSEWHERE = """\
These modules of PyTorch's can be imported (by `flambeau run`) and looked up; what they hold stands here in the module
above the list."""


def names_of(namespace: str) -> list[str]:
    """The public names of a namespace: what `__all__` lists, or what has no underscore and is no module."""
    path = namespace.removeprefix("torch").lstrip(".")
    if path == "Tensor":
        found = [n for n in dir(flambeau.Tensor) if not n.startswith("_") and hasattr(flambeau.Tensor, n)]
        return sorted(found)
    if path == "ops.aten":
        return dir(flambeau.ops.aten)
    module = importlib.import_module("flambeau" + (f".{path}" if path else ""))
    listed = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    home = "flambeau" if getattr(module, "__all__", None) else module.__name__
    kept = []
    for name in listed:
        value = getattr(module, name)
        own = str(getattr(value, "__module__", home)).startswith(("flambeau", "torch.", "typing"))
        if not isinstance(value, types.ModuleType) and not name.startswith("_") and (own or not callable(value)):
            kept.append(name)
    return sorted(set(kept) - HOUSE)


def paragraph(names: list[str]) -> str:
    """Names in code type, in lines of the page's width."""
    return textwrap.fill(", ".join(f"`{n}`" for n in names), 118, break_long_words=False, break_on_hyphens=False)


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Here"]
    for namespace in NAMESPACES:
        names = names_of(namespace)
        parts += [f"### `{namespace}` ({len(names)})", paragraph(names)]
    parts += ["## In another module", ELSEWHERE]
    for home, modules in TABLE.items():
        parts += [f"### `{home}`", paragraph(sorted(modules))]
    parts += ["## Not here"]
    for namespace, missing, nearest, names in GROUPS:
        listed = sorted(names.split())
        parts += [f"### `{namespace}`: {missing} ({len(listed)})", f"Nearest: {nearest}.", paragraph(listed)]
    for namespace, (missing, nearest) in PARTLY.items():
        parts += [f"### `{namespace}` and below, but for what libraries name: {missing}", f"Nearest: {nearest}."]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
