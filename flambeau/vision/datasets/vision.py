"""What data sets of pictures have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flambeau.utils.data import Dataset


class VisionDataset(Dataset):
    """Pairs of a picture and its target. `transform` is applied to pictures, `target_transform` to targets, or
    `transforms` to both; `root` is the folder with the files."""

    def __init__(
        self, root: str | Path | None = None, transforms: Callable[..., Any] | None = None,
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self.root = Path(root).expanduser() if root is not None else None
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError("Only transforms or transform/target_transform can be passed as argument")
        self.transform, self.target_transform, self.transforms = transform, target_transform, transforms

    def transformed(self, picture: Any, target: Any) -> tuple[Any, Any]:
        """The pair as the user wants it."""
        if self.transforms is not None:
            return self.transforms(picture, target)
        picture = picture if self.transform is None else self.transform(picture)
        return picture, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """More lines for `repr`."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"Root location: {self.root}")
        lines += self.extra_repr().splitlines()
        if self.transform is not None:
            lines += ["StandardTransform", *f"Transform: {self.transform}".splitlines()]
        return "\n".join([f"Dataset {type(self).__name__}", *("    " + line for line in lines)])
