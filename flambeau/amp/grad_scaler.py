"""`GradScaler`: losses are scaled up before backward, so that small gradients do not vanish in float16.

After Micikevicius et al. 2018, "Mixed precision training": the scale grows while gradients stay finite and shrinks when
they do not, and a step with gradients that are not finite is left out.
"""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau._core.homes import absent


class OptState(Enum):
    """How far an optimizer has come since the last `update()`."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scales losses, and unscales gradients before an optimizer's step.

    Args:
        device: where the gradients are. Default: "cuda"; for a device that is not there the scaler warns and is off.
        init_scale: the first scale. Default: 2^16.
        growth_factor: what the scale is multiplied by after `growth_interval` steps without inf or NaN. Default: 2.
        backoff_factor: what it is multiplied by after gradients with inf or NaN. Default: 0.5.
        enabled: without, losses and gradients stay as they are. Default: True.

    Example:
        >>> scaler = GradScaler("cpu", init_scale=8.0)
        >>> w = torch.ones(1, requires_grad=True)
        >>> scaler.scale((w * 3).sum()).backward()
        >>> w.grad
        tensor([24.])
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device != "cpu":
            warnings.warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._device, self._enabled = device, enabled
        self._scale, self._tracker = init_scale, 0
        self._scaled = False
        self._growth_factor, self._backoff_factor, self._growth_interval = (
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._stages: dict[int, OptState] = {}
        self._found: dict[int, bool] = {}

    def is_enabled(self) -> bool:
        """Does the scaler scale?"""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """A loss, or a structure of losses, times the scale."""
        if not self._enabled:
            return outputs
        self._scaled = True
        if isinstance(outputs, torch.Tensor):
            return outputs * self._scale
        if isinstance(outputs, (tuple, list)):
            return type(outputs)([self.scale(o) for o in outputs])
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, once between two updates: before clipping
        them, for instance. RuntimeError for a second time, AssertionError before anything was scaled."""
        if not self._enabled:
            return
        self._check_scaled("unscale_")
        stage = self._stages.get(id(optimizer), OptState.READY)
        if stage is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        self._found[id(optimizer)] = self._unscale(optimizer)
        self._stages[id(optimizer)] = OptState.UNSCALED

    def _check_scaled(self, what: str) -> None:
        if not self._scaled:
            raise AssertionError(
                explain(
                    f"Attempted {what} but nothing was scaled: scaler.scale(loss) was not called earlier",
                    hint="scaler.scale(loss).backward(), then scaler.step(optimizer) and scaler.update()",
                )
            )

    def _unscale(self, optimizer: Any) -> bool:
        """Divide gradients; is there inf or NaN among them?"""
        finite = None
        with torch.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is None:
                        continue
                    gradient = parameter.grad._values() if parameter.grad.is_sparse else parameter.grad
                    gradient.mul_(1.0 / self._scale)
                    own = torch.isfinite(gradient).all()
                    finite = own if finite is None else finite & own
        return finite is not None and not bool(finite)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)`, left out if there is inf or NaN in its gradients, which are unscaled first
        if they are not yet. RuntimeError for a second time before `update`, and for a closure."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        self._check_scaled("step")
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        stage = self._stages.get(id(optimizer), OptState.READY)
        if stage is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if stage is OptState.READY:
            self.unscale_(optimizer)
        self._stages[id(optimizer)] = OptState.STEPPED
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Make the scale smaller if there was inf or NaN since the last update, greater after enough steps without; or
        set it. AssertionError if no gradients were unscaled."""
        if not self._enabled:
            return
        self._check_scaled("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._found.values()):
            self._scale, self._tracker = self._scale * self._backoff_factor, 0
        else:
            self._tracker += 1
            if self._tracker == self._growth_interval:
                self._scale, self._tracker = self._scale * self._growth_factor, 0
        self._stages, self._found = {}, {}

    def get_scale(self) -> float:
        """The scale; 1 if the scaler is off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change what the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many finite steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change after how many finite steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to go on; empty if the scaler is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; RuntimeError for the empty one of a scaler that was off."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._tracker = state_dict["_growth_tracker"]


__getattr__ = absent("torch.amp.grad_scaler")
