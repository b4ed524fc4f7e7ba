"""PyTorch's dispatch keys, as far as they mean something here: for which tensors, and in whose place, a kernel runs."""

from __future__ import annotations

from flambeau._core.errors import explain

DEVICES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
    "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip
COMPOSITE = ("CompositeImplicitAutograd", "CompositeExplicitAutograd")
EXPLICIT = COMPOSITE[1]
KNOWN = frozenset({*COMPOSITE, "Autograd", "AutogradCPU", "AutogradCUDA", "Meta", *map(str.upper, DEVICES)})
# key -> what says the same here
ELSEWHERE = {
    "AutocastCPU": "torch.library.register_autocast",
    "AutocastCUDA": "torch.library.register_autocast",
    "FuncTorchBatched": "torch.library.register_vmap",
    "ADInplaceOrView": "mutates_args, or Tensor(a!) in the schema: changes are counted by themselves",
    "BackendSelect": "a kernel that looks at its device argument",
    "Functionalize": "a kernel: there is nothing to functionalize",
    "Python": "a kernel: operations do not dispatch on classes of tensors",
    "SparseCPU": "a kernel that asks x.layout",
    "QuantizedCPU": "a kernel that asks x.is_quantized",
}


def of_device(device: str | None) -> str:
    """The key of a device's kernels; of those for all devices for None. RuntimeError for an unknown device.

    Example::

        >>> of_device("cpu"), of_device(None)
        ('CPU', 'CompositeExplicitAutograd')
    """
    if device is None:
        return EXPLICIT
    kind = device.partition(":")[0] if isinstance(device, str) else device
    if kind not in DEVICES:
        raise RuntimeError(f"Expected one of {', '.join(DEVICES)} device type at start of device string: {device}")
    return kind.upper() if kind != "meta" else "Meta"


def checked(key: str) -> str:
    """A key that may be registered for; `""` stands for a kernel whose operations carry the gradient themselves.

    RuntimeError for what is no key of PyTorch's, NotImplementedError for one that has no meaning here.
    """
    if key == "":
        return COMPOSITE[0]
    if key == "CompositeExplicitAutogradNonFunctional":
        return EXPLICIT
    if key in ELSEWHERE:
        raise NotImplementedError(
            explain(f"there are no kernels for the dispatch key {key} here", hint=f"use {ELSEWHERE[key]}")
        )
    if key not in KNOWN:
        raise RuntimeError(f"could not parse dispatch key: {key}")
    return key
