"""Automatic mixed precision (`torch.amp`): contractions in bfloat16, and loss scaling for float16."""

from flambeau._tensor.autocasting import is_autocast_available as is_autocast_available
from flambeau.amp.autocast_mode import autocast as autocast
from flambeau.amp.autocast_mode import custom_bwd as custom_bwd
from flambeau.amp.autocast_mode import custom_fwd as custom_fwd
from flambeau.amp.grad_scaler import GradScaler as GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
