"""The page of the API is current, what it lists as missing is, and nothing of PyTorch's is left out of both lists."""

from __future__ import annotations

import importlib
import importlib.util
import types
from pathlib import Path

import pytest

import flambeau
from flambeau._core.homes import HOMES, elsewhere
from flambeau._core.unsupported import NAMES

ROOT = Path(__file__).parents[2]


def tool():
    spec = importlib.util.spec_from_file_location("api_page", ROOT / "tools" / "api_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(namespace):
    """The module; also where a function of the same name hides it."""
    if namespace in HOMES:
        return elsewhere(namespace)
    try:
        return importlib.import_module("flambeau" + namespace.removeprefix("torch"))
    except ModuleNotFoundError:  # an object that stands for one, or a class
        parent, _, last = namespace.rpartition(".")
        return getattr(found(parent), last)


def test_the_page_is_current():
    made = tool().page()
    assert made == tool().PAGE.read_text(encoding="utf-8"), "run: python tools/api_page.py"


@pytest.mark.parametrize("namespace", NAMES)
def test_what_is_missing_says_so(namespace):
    holder = flambeau.ones(1) if namespace == "torch.Tensor" else found(namespace)
    for name in NAMES[namespace]:
        assert not hasattr(holder, name), f"{namespace}.{name} is here: take it out of the table"
        with pytest.raises(NotImplementedError, match="nearest is"):
            getattr(holder, name)
    with pytest.raises(AttributeError) as other:
        _ = holder.no_such_name
    assert not isinstance(other.value, NotImplementedError)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "namespace",
    [
        "torch", "torch.Tensor", "torch.autograd", "torch.fft", "torch.linalg", "torch.nn", "torch.nn.functional",
        "torch.nn.init", "torch.optim", "torch.optim.lr_scheduler", "torch.special", "torch.func", "torch.amp",
        "torch.distributions", "torch.sparse", "torch.jit", "torch.utils.data",
    ],
)  # fmt: skip
def test_every_name_of_pytorch_is_here_or_refused(namespace):
    import torch

    theirs = torch
    for part in namespace.split(".")[1:]:
        theirs = getattr(theirs, part)
    holder = found(namespace)
    home = "torch" if namespace in ("torch", "torch.Tensor") else namespace
    left = []
    for name in sorted(set(getattr(theirs, "__all__", ())) | {n for n in dir(theirs) if not n.startswith("_")}):
        value = getattr(theirs, name, None)
        listed = getattr(theirs, "__all__", ()) if namespace != "torch" else ()
        own = str(getattr(value, "__module__", "") or "").startswith(home)
        public = name in listed or namespace == "torch.Tensor" or (not listed and own)
        if isinstance(value, types.ModuleType) or name.startswith("_") or not public:
            continue
        if value is not torch.Tensor and not hasattr(holder, name) and name not in NAMES.get(namespace, {}):
            left.append(name)
    assert left == []
