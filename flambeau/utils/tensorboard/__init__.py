"""Files for TensorBoard (`torch.utils.tensorboard`), written without its packages. Its own program shows them."""

from flambeau._core.homes import absent
from flambeau.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]

__getattr__ = absent("torch.utils.tensorboard")
