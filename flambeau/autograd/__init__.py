"""Automatic differentiation (`torch.autograd`): `backward`, `grad`, gradient modes, custom functions, checks."""

from flambeau.autograd.backward import backward as backward
from flambeau.autograd.backward import grad as grad
from flambeau.autograd.grad_mode import enable_grad as enable_grad
from flambeau.autograd.grad_mode import inference_mode as inference_mode
from flambeau.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from flambeau.autograd.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd.grad_mode import no_grad as no_grad
from flambeau.autograd.grad_mode import set_grad_enabled as set_grad_enabled
