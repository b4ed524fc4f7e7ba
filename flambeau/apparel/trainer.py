"""The training loop, which can stop after any step and go on later as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from flambeau import _api as torch
from flambeau import nn, optim
from flambeau.apparel.console import Console
from flambeau.apparel.dataset import Labelled, split
from flambeau.apparel.models import DEFAULTS, build

EVALUATION_BATCH = 1000
#: Called after every step with the epoch and the step (both from 0); a true answer stops the run there.
StepHook = Callable[[int, int], bool]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the numbers of a run, apart from the pictures. A `batch_size` of 0 means all at once."""

    model: str
    epochs: int
    batch_size: int
    lr: float
    seed: int
    validation: float = 0.1
    limit: int | None = None


class Trainer:
    """A network with all that its training needs: pictures, optimizer, schedule, random generators, history."""

    def __init__(self, recipe: Recipe, data: Labelled, device: torch.device) -> None:
        self.recipe = recipe
        self.mark = data.mark
        self.device = device
        learn, held_out = split(len(data), recipe.validation, recipe.seed)
        self.learn = self._tensors(data, learn)
        self.held_out = self._tensors(data, held_out)
        self.batch = min(recipe.batch_size or len(learn), len(learn))

        torch.manual_seed(recipe.seed)  # decides the first weights, then the dropout and the mirroring
        self.shuffler = torch.Generator().manual_seed(recipe.seed)
        seen = data.images[learn]
        self.network = build(recipe.model, float(seen.mean()) / 255, float(seen.std()) / 255).to(device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.Adam(self.network.parameters(), lr=recipe.lr)
        self.scheduler = self._schedule()

        self.history: list[dict[str, float]] = []
        self.order: torch.Tensor | None = None  # of the pictures in the epoch under way
        self.step = 0  # steps done in the epoch under way
        self.loss_sum = 0.0
        self.hits = 0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.recipe.epochs

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.learn[1]) // self.batch)

    def run(self, console: Console, stop: StepHook, after_epoch: Callable[[], None]) -> bool:
        """Train until all epochs are done or `stop` says so; tell whether all are done."""
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)  # a resumed run gives the bits of one that was never stopped
        try:
            while not self.finished:
                began = time.perf_counter()
                if not self._run_epoch(console, stop):
                    return False
                self._close_epoch(time.perf_counter() - began)
                after_epoch()
        finally:
            torch.use_deterministic_algorithms(before)
        return True

    def _run_epoch(self, console: Console, stop: StepHook) -> bool:
        """Do the remaining steps of the epoch; False if stopped before the last one was done."""
        self.network.train()
        if self.order is None:
            self.order = self._new_order()
        batches = self.order.split(self.batch)
        label = f"epoch {self.epoch + 1}/{self.recipe.epochs}"
        with console.bar(len(batches), label, "batch") as bar:
            bar.update(self.step)
            while self.step < len(batches):
                loss = self._learn(batches[self.step])
                self.step += 1
                bar.update(1)
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                if stop(self.epoch, self.step - 1) and self.step < len(batches):
                    return False
        return True

    def _new_order(self) -> torch.Tensor:
        count = len(self.learn[1])
        if self.batch == count:  # all pictures at once: their order means nothing
            return torch.arange(count)
        return torch.randperm(count, generator=self.shuffler)

    def _learn(self, chosen: torch.Tensor) -> float:
        """One step of the optimizer on the chosen pictures."""
        pictures, labels = self.learn[0][chosen], self.learn[1][chosen]
        if DEFAULTS[self.recipe.model].flip:
            mirrored = torch.rand(len(labels)).to(self.device) < 0.5
            pictures = torch.where(mirrored[:, None, None], pictures.flip(-1), pictures)
        self.optimizer.zero_grad()
        scores = self.network(pictures)
        loss = self.criterion(scores, labels)
        loss.backward()
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        value = loss.item()
        self.loss_sum += value * len(labels)
        self.hits += int((scores.argmax(1) == labels).sum())
        return value

    def _close_epoch(self, seconds: float) -> None:
        count = len(self.learn[1])
        loss, accuracy = self.evaluate(*self.held_out)
        self.history.append(
            {
                "train_loss": self.loss_sum / count,
                "train_accuracy": self.hits / count,
                "validation_loss": loss,
                "validation_accuracy": accuracy,
                "seconds": seconds,
            }
        )
        self.order, self.step, self.loss_sum, self.hits = None, 0, 0.0, 0

    def evaluate(self, pictures: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        """Mean loss and accuracy, without learning."""
        scores = predict_scores(self.network, pictures)
        return self.criterion(scores, labels).item(), (scores.argmax(1) == labels).float().mean().item()

    def state_dict(self) -> dict[str, Any]:
        """The state after the last step done, as plain values and tensors."""
        return {
            "recipe": asdict(self.recipe),
            "mark": self.mark,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generator": torch.get_rng_state(),
            "shuffler": self.shuffler.get_state(),
            "history": self.history,
            "order": self.order,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "hits": self.hits,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state_dict` gave for the same recipe and pictures."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["generator"])
        self.shuffler.set_state(state["shuffler"])
        self.history = list(state["history"])
        self.order, self.step = state["order"], state["step"]
        self.loss_sum, self.hits = state["loss_sum"], state["hits"]

    def _schedule(self) -> Any:
        if not DEFAULTS[self.recipe.model].one_cycle:
            return None
        steps = self.recipe.epochs * self.steps_per_epoch
        return optim.lr_scheduler.OneCycleLR(self.optimizer, self.recipe.lr, total_steps=steps, pct_start=0.25)

    def _tensors(self, data: Labelled, chosen: Any) -> tuple[torch.Tensor, torch.Tensor]:
        pictures, labels = torch.from_numpy(data.images[chosen]), torch.from_numpy(data.labels[chosen])
        return pictures.to(self.device), labels.to(self.device)


def predict_scores(network: nn.Module, pictures: torch.Tensor, both_ways: bool = False) -> torch.Tensor:
    """Scores (N, 10) of bytes (N, 28, 28), batch by batch, in evaluation mode.

    With `both_ways` they are mean probabilities of the pictures and of their mirror images.
    """
    network.eval()
    with torch.no_grad():
        batches = pictures.split(EVALUATION_BATCH)
        if not both_ways:
            return torch.cat([network(batch) for batch in batches])
        pairs = [(network(batch).softmax(1), network(batch.flip(-1)).softmax(1)) for batch in batches]
        return torch.cat([(straight + mirrored) / 2 for straight, mirrored in pairs])
