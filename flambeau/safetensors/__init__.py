"""Files in the safetensors format, with the names of the library `safetensors`, which is not needed; `import
safetensors` under `flambeau run`.

A file holds a length, a header in JSON that says of each tensor its dtype, its shape and where its bytes are, and the
bytes. Nothing in it can be run. It has no checksums: what is checked is that the header fits the file, without holes or
overlaps.

Source: https://github.com/huggingface/safetensors (section "Format").
"""

from __future__ import annotations

from flambeau.safetensors.header import SafetensorError
from flambeau.safetensors.opening import safe_open

__all__ = ["SafetensorError", "safe_open"]
