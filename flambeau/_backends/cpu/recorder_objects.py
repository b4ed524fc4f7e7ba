"""What the native recorder knows of Python: the objects it refers to, the slots it reads and fills."""

from __future__ import annotations

from flambeau._backends.cpu.cpython import NULL, SIZE, Layout, Objects
from flambeau._backends.cpu.emit import Module, Val

# What the code finds in its block `objects`: addresses of objects, which whoever installs it puts there.
OBJECTS = (
    "Tensor", "Value", "Storage", "Instruction", "Window",  # classes
    "OpNode", "float", "int", "bool", "NoneType", "str", "dtype", "tuple",
    "None", "False", "True", "0", "1",
    "__dict__", "window", "grad_enabled", "flush", "save_outputs", "can_fail", "top", "_silent",  # names of attributes
    "state", "config", "stack", "sequence", "no_versions", "internal",
    "learn", "getframe", "user_site", "record_node", "pointwise", "library", "view",
    "append",  # the address of the function that appends to a deque
)  # fmt: skip
FIELDS = {
    "Tensor": ("_meta", "_storage", "_node", "_index", "_base", "_base_node"),
    "Value": ("array", "buffer", "window", "failure"),
    "Storage": ("value", "version", "nbytes", "exposed", "changes"),
    "Instruction": ("op", "args", "metas", "inference", "outputs", "site"),
    "Window": ("queue", "nbytes", "born"),
    "Config": ("window_instructions", "window_bytes"),
    "Inference": ("savings", "outputs"),
    "Saving": ("nothing", "dropped", "kept", "snapshots", "outputs", "watched"),
    "OpNode": (
        "_edges", "_output_metas", "_seq", "_site", "_pre_hooks", "_post_hooks", "_retained", "_extra",
        "op", "args", "versions", "saved_outputs", "metas", "saving", "watched",
    ),
    "Meta": ("nbytes",),
    "code": ("co_filename",),
}


class Recording(Objects):
    """A function of the recorder."""

    def __init__(self, module: Module, layout: Layout, name: str, result: str, parameters: str, internal: bool = True,
                 inline: bool = False) -> None:  # fmt: skip
        """`parameters` are names; those in capitals are numbers, the others addresses."""
        typed = [(p.lower(), "i64" if p.isupper() else "ptr") for p in parameters.split()]
        super().__init__(module.function(name, result, typed, internal, inline), layout)

    def named(self, name: str) -> Val:
        """An object of the block."""
        return self.f.load("ptr", self.f.offset(Val("@objects", "ptr"), OBJECTS.index(name), "ptr"))

    def is_named(self, thing: Val, name: str) -> Val:
        return self.is_same(thing, self.named(name))

    def none(self) -> Val:
        return self.keep(self.named("None"))

    def unless(self, condition: Val, label: str) -> None:
        """Go on if the condition holds, else at a label."""
        then = self.f.fresh_label("on")
        self.f.branch(condition, then, label)
        self.f.label(then)

    def demand(self, thing: Val, label: str) -> Val:
        """What is not null, else go on at a label."""
        self.unless(self.f.compare("ne", thing, NULL), label)
        return thing

    def address(self, thing: Val) -> Val:
        return self.f.op("i64", f"ptrtoint {thing} to i64")

    def bits(self, float: Val) -> Val:
        """The bits of the number that a Python float is."""
        return self.f.load("i64", self.f.offset(float, SIZE))
