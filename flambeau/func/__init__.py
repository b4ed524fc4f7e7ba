"""Functions of functions (`torch.func`): derivatives, batches, modules as functions of their parameters."""


from flambeau._core.homes import absent
from flambeau.func.derivatives import grad as grad
from flambeau.func.derivatives import grad_and_value as grad_and_value
from flambeau.func.derivatives import hessian as hessian
from flambeau.func.derivatives import jacfwd as jacfwd
from flambeau.func.derivatives import jacrev as jacrev
from flambeau.func.derivatives import jvp as jvp
from flambeau.func.derivatives import linearize as linearize
from flambeau.func.derivatives import plain_of as debug_unwrap
from flambeau.func.derivatives import vjp as vjp
from flambeau.func.modules import functional_call as functional_call
from flambeau.func.modules import functionalize as functionalize
from flambeau.func.modules import replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_
from flambeau.func.modules import stack_module_state as stack_module_state
from flambeau.func.vmapping import vmap as vmap

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]

__getattr__ = absent("torch.func")
