"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau import _api as torch
from flambeau._core.errors import explain
from flambeau.optim import _checks
from flambeau.optim._course import plain_options
from flambeau.optim._line_search import Point, strong_wolfe
from flambeau.optim.optimizer import Optimizer, ParamsT


class LBFGS(Optimizer):
    """Limited-memory BFGS: quasi-Newton steps whose curvature comes from the last `history_size` gradients.

    Two-loop recursion: Nocedal & Wright, "Numerical Optimization", algorithm 7.4. One step is up to `max_iter`
    iterations and needs a closure that clears the gradients, computes the loss, calls `backward` and returns the loss.
    All parameters are one vector; memory is about twice `history_size` times theirs.

    Args:
        params: parameters; parameter groups are not possible.
        lr: length of a step (with a line search: of the first one tried), a number >= 0 or a tensor of one element.
        max_iter: iterations in a step.
        max_eval: evaluations of the closure in a step (default: 5/4 of `max_iter`).
        tolerance_grad: stop where no element of the gradient is larger.
        tolerance_change: stop where loss or parameters change by less.
        history_size: how many differences of gradients are kept.
        line_search_fn: "strong_wolfe" or None.

    Example::

        >>> import flambeau as torch
        >>> w = torch.tensor([2.0, -1.0], requires_grad=True)
        >>> optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure)
        tensor(5., grad_fn=<SumBackward0>)
        >>> bool(w.abs().max() < 1e-6)
        True
    """

    numbers = ()

    def __init__(
        self, params: ParamsT, lr: float | Any = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        _checks.learning_rate(lr)
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        })  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any]) -> Any:
        """Minimise for up to `max_iter` iterations; returns the loss before the first."""
        if not callable(closure):
            raise TypeError(
                explain(
                    "LBFGS.step needs a closure that computes the loss and calls backward",
                    hint=("it evaluates the loss several times a step: optimizer.step(closure)"),
                )
            )

        def evaluate() -> tuple[Any, Any]:
            with torch.enable_grad():
                loss = closure()
            return loss, self._flat_grad()

        with torch.no_grad():
            return self._minimize(evaluate)

    def _minimize(self, evaluate: Callable[[], tuple[Any, Any]]) -> Any:
        group = plain_options(self.param_groups[0])
        lr, max_iter, max_eval = group["lr"], group["max_iter"], group["max_eval"]
        tolerance_change = group["tolerance_change"]
        state = self._state_of(
            self._params[0]
        )  # shared by all; kept with the first so that loading finds dtype and device
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss, grad = evaluate()
        loss, evaluations = float(first_loss), 1
        state["func_evals"] += 1
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            t = lr if state["n_iter"] > 1 else float((1.0 / grad.abs().sum()).clamp(max=1.0)) * lr
            state["d"], state["t"], state["prev_flat_grad"], state["prev_loss"] = direction, t, grad, loss
            slope = float(grad.dot(direction))
            if slope > -tolerance_change:
                break
            previous_loss = loss
            if group["line_search_fn"] is not None:
                start = Point(0.0, loss, grad, slope)
                found, count = self._search(evaluate, start, t, direction, group, max_eval - evaluations)
                t, loss, grad = found.t, found.loss, found.grad
                state["t"] = t
                self._move(t, direction)
            else:
                self._move(t, direction)
                if iteration == max_iter:  # with mini-batches, one more evaluation would be of no use
                    break
                new_loss, grad = evaluate()
                loss, count = float(new_loss), 1
            evaluations += count
            state["func_evals"] += count
            if (
                evaluations >= max_eval
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction) * abs(t) <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        return first_loss

    def _direction(self, state: Any, grad: Any, history_size: int) -> Any:
        """Minus the gradient times the estimated inverse Hessian, whose memory takes in the last step first."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for memory in (changes, steps, inverses):
                    memory.pop(0)
            changes.append(y)
            steps.append(s)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y)
        q = -grad
        weights = []
        for y, s, inverse in zip(reversed(changes), reversed(steps), reversed(inverses), strict=True):
            weights.append(s.dot(q) * inverse)
            q = q - weights[-1] * y
        q = q * state["H_diag"]
        for y, s, inverse, weight in zip(changes, steps, inverses, reversed(weights), strict=True):
            q = q + (weight - y.dot(q) * inverse) * s
        return q

    def _search(
        self, evaluate: Callable[[], tuple[Any, Any]], start: Point, t: float, direction: Any, group: dict[str, Any],
        max_steps: int,
    ) -> tuple[Point, int]:  # fmt: skip
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError(f"only 'strong_wolfe' is supported, got {group['line_search_fn']!r}")
        origin = [param.clone() for param in self._params]

        def at(t: float) -> Point:
            self._move(t, direction)
            loss, grad = evaluate()
            for param, value in zip(self._params, origin, strict=True):
                param.copy_(value)
            return Point(t, float(loss), grad, float(grad.dot(direction)))

        return strong_wolfe(at, start, t, _largest(direction), tolerance=group["tolerance_change"], max_steps=max_steps)

    # ---- all parameters as one vector ----

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    def _flat_grad(self) -> Any:
        pieces = []
        for param in self._params:
            grad = torch.zeros_like(param) if param.grad is None else param.grad
            pieces.append(_real(grad.to_dense() if grad.is_sparse else grad).reshape(-1))
        return torch.cat(pieces)

    def _move(self, t: float, direction: Any) -> None:
        """Go `t` times `direction`."""
        offset = 0
        for param in self._params:
            param = _real(param)
            param.add_(direction[offset : offset + param.numel()].view_as(param), alpha=t)
            offset += param.numel()


def _real(x: Any) -> Any:
    return torch.view_as_real(x) if x.is_complex() else x


def _largest(x: Any) -> float:
    return float(x.abs().max())
