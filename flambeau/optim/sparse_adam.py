"""Adam for sparse gradients."""

from __future__ import annotations

from typing import Any

from flambeau import _api as torch
from flambeau.optim import _checks
from flambeau.optim.optimizer import Group, Optimizer, ParamsT


class SparseAdam(Optimizer):
    """Adam on the rows that a sparse gradient holds; averages and parameters of all other rows rest.

    For gradients such as those of `nn.Embedding(..., sparse=True)`. The formula is Adam's but for the place of `eps`:
    `param -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)`, which is how Kingma & Ba, "Adam: A Method for
    Stochastic Optimization", 2014, reorder it at the end of section 2.

    Args:
        params: dense real parameters, or groups of parameters.
        lr: learning rate, a number > 0 or a tensor of one element.
        betas: decay rates of mean and mean square, in [0, 1).
        eps: added to the denominator, > 0.
        maximize: go up instead of down.

    Example::

        >>> import flambeau as torch
        >>> table = torch.zeros(3, 2, requires_grad=True)
        >>> optimizer = torch.optim.SparseAdam([table], lr=0.1)
        >>> torch.nn.functional.embedding(torch.tensor([0, 2]), table, sparse=True).sum().backward()
        >>> optimizer.step()
        >>> table
        tensor([[-0.1000, -0.1000],
                [ 0.0000,  0.0000],
                [-0.1000, -0.1000]], requires_grad=True)
    """

    numbers = ()  # its step count is a Python number in saved state too
    accepts_sparse = True
    accepts_dense = False

    def __init__(
        self,
        params: ParamsT,
        lr: float | Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.check(0.0 < lr, f"Invalid learning rate: {lr}", "a number > 0")
        _checks.check(0.0 < eps, f"Invalid epsilon value: {eps}", "a number > 0")
        _checks.decay_rates(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [(p, [i, j]) for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"])]
        if sparse := [place for param, place in places if param.is_sparse]:
            raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")
        if of_complex := [place for param, place in places if param.is_complex()]:
            raise ValueError(f"Complex params at indices {of_complex}: SparseAdam does not support complex parameters")

    def init_state(self, state: Any, param: Any, group: Group) -> None:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update_rows(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        state["step"] += 1
        super().update_rows(param, grad, state, group)

    def update(self, param: Any, grad: Any, state: Any, group: Group) -> None:
        t, (beta1, beta2) = state["step"], group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.lerp_(grad * grad, 1 - beta2)
        lr = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        param.sub_(lr * mean / (square.sqrt() + group["eps"]))
