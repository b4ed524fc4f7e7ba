"""Makes `training.pt` and `training-legacy.pt` with PyTorch: python tests/serialization/data/make.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def training(torch: Any, start: Any = None) -> dict[str, Any]:
    """The states of a model, optimizers and schedulers after some steps, or as restored from `start`."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    if start:
        model.load_state_dict(start["model"])
    o, s = torch.optim, torch.optim.lr_scheduler
    p = list(model.parameters())
    optimizers = [o.Adam(p), o.SGD(p, 0.1, momentum=0.9), o.RMSprop(p, centered=True), o.Adagrad(p), o.Adadelta(p)]
    schedulers = [
        s.StepLR(optimizers[0], 2), s.MultiStepLR(optimizers[1], [1, 3]), s.CosineAnnealingLR(optimizers[2], 5),
        s.ReduceLROnPlateau(optimizers[3]), s.LambdaLR(optimizers[4], lambda epoch: 0.9**epoch),
        s.SequentialLR(optimizers[0], [s.ConstantLR(optimizers[0]), s.ExponentialLR(optimizers[0], 0.9)], [2]),
        s.OneCycleLR(optimizers[1], 0.1, total_steps=10), s.CosineAnnealingWarmRestarts(optimizers[2], 3),
    ]  # fmt: skip
    for kind, made in (("optimizers", optimizers), ("schedulers", schedulers)):
        for each, state in zip(made, start[kind] if start else [], strict=False):
            each.load_state_dict(state)
    for _ in range(0 if start else 3):
        model(torch.ones(4, 2)).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step(*([1.0] if isinstance(scheduler, s.ReduceLROnPlateau) else []))
    states = {"optimizers": optimizers, "schedulers": schedulers}
    return {"model": model.state_dict(), **{kind: [x.state_dict() for x in made] for kind, made in states.items()}}


def more(torch: Any) -> dict[str, Any]:
    """Objects that are saved in ways of their own."""
    model = torch.nn.Linear(1, 1)
    numbers, others = torch.tensor([1 + 2j, -3j]), torch.tensor([1 + 2j, -3j])
    return {
        "coo": torch.sparse_coo_tensor([[0], [1]], [2.0], (2, 2)),
        "csr": torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse_csr(),
        "conj": numbers.conj(),
        "neg": others.conj().imag,
        "expanded": torch.ones(1).expand(2, 3),
        "module state": {"_metadata": dict(model.state_dict()._metadata)},
    }


def main() -> None:
    """Write both files."""
    import torch

    folder = Path(__file__).parent
    for name, as_zip in (("training.pt", True), ("training-legacy.pt", False)):
        objects = {**training(torch), "more": more(torch)}
        torch.save(objects, folder / name, _use_new_zipfile_serialization=as_zip)


if __name__ == "__main__":
    main()
