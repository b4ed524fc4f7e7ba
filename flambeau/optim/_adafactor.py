"""Adafactor."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class Adafactor(Optimizer):
    """Adafactor: adaptive steps with the memory of a row and a column in place of a matrix.

    The mean square of a matrix's gradient is kept as its row means R and column means C and estimated as `R C /
    mean(R)`; steps are relative to the size of the parameter and clipped to a root mean square of `d`. Shazeer & Stern,
    "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018. As in PyTorch, `lr` bounds the relative step
    (0.01 in the paper) and `eps[0]` bounds the estimate, not the squares that go into it.

    Args:
        params: real parameters, or groups of parameters.
        lr: largest relative step, a number >= 0 or a tensor of one element.
        beta2_decay: the decay rate of the mean square at step t is `1 - t^beta2_decay`; <= 0.
        eps: lower bounds of the root mean square of the gradient (None: the dtype's precision) and of the size of the
            parameter.
        d: largest root mean square of an update, >= 1.
        weight_decay: factor of decoupled weight decay, >= 0.
        foreach: accepted, as in PyTorch.
        maximize: go up instead of down.

    Example::

        >>> import flambeau as torch
        >>> w = torch.full((2, 2), 3.0, requires_grad=True)
        >>> optimizer = torch.optim.Adafactor([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w
        tensor([[2.7000, 2.7000],
                [2.7000, 2.7000]], requires_grad=True)
    """

    def __init__(
        self, params: ParamsT, lr: float | Any = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        _checks.one_element("lr", lr)
        _checks.check(0.0 <= lr, f"Learning rate should be >= 0 but is: {lr}", "a number >= 0")
        _checks.check(
            beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}", "a number <= 0, such as -0.8"
        )
        _checks.check(
            eps[0] is None or 0.0 <= eps[0], f"epsilon1 should be >= 0 but is: {eps[0]}", "None or a number >= 0"
        )
        _checks.check(0.0 <= eps[1], f"epsilon2 should be >= 0 but is: {eps[1]}", "a number >= 0")
        _checks.check(1.0 <= d, f"Clipping threshold d should be >= 1 but is: {d}", "a number >= 1")
        _checks.check(0.0 <= weight_decay, f"weight_decay should be >= 0 but is: {weight_decay}", "a number >= 0")
        super().__init__(params, {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        })  # fmt: skip

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if param.dim() > 1:
            state["row_var"] = param.new_zeros((*param.shape[:-1], 1))
            state["col_var"] = param.new_zeros((*param.shape[:-2], 1, param.shape[-1]))
        else:
            state["variance"] = torch.zeros_like(param)

    def decay(self, param: Any, grad: Any, group: Group) -> Any:
        return grad  # `update` decays, once it knows the size of the parameter

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, lr = state.number("step"), group["lr"]
        smallest, smallest_param = group["eps"]
        if smallest is None:
            smallest = torch.finfo(param.dtype).eps
        step = root_mean_square(param).clamp(min=smallest_param) * min(lr, t**-0.5)
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        variance = self._variance(grad * grad, state, t ** group["beta2_decay"], smallest)
        update = grad * variance.clamp(min=smallest * smallest).rsqrt()
        param.sub_(step * update / (root_mean_square(update) / group["d"]).clamp(min=1.0))

    @staticmethod
    def _variance(square: Any, state: Any, weight: float, smallest: float) -> Any:
        """The running mean of `square`, from its row and column means if it has rows and columns."""
        if square.dim() < 2:
            return state["variance"].lerp_(square, weight)
        rows, columns = state["row_var"], state["col_var"]
        rows.lerp_(square.mean(dim=-1, keepdim=True), weight)
        columns.lerp_(square.mean(dim=-2, keepdim=True), weight)
        return rows @ columns / rows.mean(dim=-2, keepdim=True).clamp(min=smallest)


def root_mean_square(x: Any) -> Any:
    return (x * x).mean().sqrt()
