"""Published weights under an older name: `torch.utils.model_zoo.load_url` is `torch.hub.load_state_dict_from_url`."""

from __future__ import annotations

from flambeau.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
