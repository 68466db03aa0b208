"""The tokens that leave a transformer's patch embedding, from a pass through timm that gives only those of its blocks."""

from __future__ import annotations

import threading
from typing import Any

from torch import Tensor, nn

_of_this_thread = threading.local()  # one pass at a time is open in each; nothing of it stays on the model


def watch(embedding: nn.Module) -> None:
    """Have `embedding` leave its tokens for `take`, at every pass."""
    embedding.register_forward_hook(_leave)


def take() -> Tensor | None:
    """The tokens of this thread's latest pass since it took any: [B,P,C] or, of a model that takes films of any size, [B,h,w,C]."""
    tokens: Tensor | None = getattr(_of_this_thread, "tokens", None)
    _of_this_thread.tokens = None
    return tokens


def _leave(_: nn.Module, __: Any, tokens: Any) -> None:
    _of_this_thread.tokens = tokens if isinstance(tokens, Tensor) else None
