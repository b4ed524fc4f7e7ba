"""Automatic differentiation (`torch.autograd`): `backward`, `grad`, gradient modes, custom functions, checks."""


from flambeau._core.homes import absent
from flambeau.autograd import forward_ad as forward_ad
from flambeau.autograd import functional as functional
from flambeau.autograd import graph as graph
from flambeau.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from flambeau.autograd.anomaly_mode import is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled
from flambeau.autograd.anomaly_mode import is_anomaly_enabled as is_anomaly_enabled
from flambeau.autograd.anomaly_mode import set_anomaly_enabled as set_anomaly_enabled
from flambeau.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from flambeau.autograd.engine import backward as backward
from flambeau.autograd.engine import grad as grad
from flambeau.autograd.function import Function as Function
from flambeau.autograd.grad_mode import enable_grad as enable_grad
from flambeau.autograd.grad_mode import enforce_grad_layout_policy as enforce_grad_layout_policy
from flambeau.autograd.grad_mode import inference_mode as inference_mode
from flambeau.autograd.grad_mode import is_grad_enabled as is_grad_enabled
from flambeau.autograd.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
from flambeau.autograd.grad_mode import no_grad as no_grad
from flambeau.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from flambeau.autograd.grad_mode import set_multithreading_enabled as set_multithreading_enabled
from flambeau.autograd.gradcheck import gradcheck as gradcheck
from flambeau.autograd.gradcheck import gradgradcheck as gradgradcheck
from flambeau.autograd.variable import Variable as Variable


def kineto_available() -> bool:
    """Can profiles be taken with Kineto? No.

    Example::

        >>> kineto_available()
        False
    """
    return False

__getattr__ = absent("torch.autograd")
