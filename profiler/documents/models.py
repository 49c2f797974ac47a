"""Small modules that claims are about, where no class of torch is just that."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class FeedForward(nn.Sequential):
    """Two linear layers, to four times the width and back, with a GELU between them: ``(…, width)`` to the same."""

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Attention(nn.MultiheadAttention):
    """Self-attention: ``(batch, sequence, width)`` to the same."""

    def __init__(self, width: int, heads: int = 4, bias: int = 1) -> None:
        """Make it, with biases or without."""
        super().__init__(width, heads, bias=bool(bias), batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Attend from every position to every position."""
        result: torch.Tensor = super().forward(x, x, x, need_weights=False)[0]
        return result


class CrossAttention(nn.MultiheadAttention):
    """Attention from ``(batch, queries, width)`` to ``(batch, keys, width)``."""

    def __init__(self, width: int, heads: int = 4) -> None:
        """Make it, with its projections in and out."""
        super().__init__(width, heads, batch_first=True)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Attend."""
        result: torch.Tensor = super().forward(queries, keys, keys, need_weights=False)[0]
        return result


class Block(nn.TransformerEncoderLayer):
    """A Transformer block with a feed-forward of four times the width: ``(batch, sequence, width)`` to the same."""

    def __init__(self, width: int, heads: int = 4) -> None:
        """Make it."""
        super().__init__(width, heads, 4 * width, batch_first=True, activation="gelu", norm_first=True)


class Matmul(nn.Module):
    """The product of ``(height, depth)`` and ``(depth, width)``."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Multiply."""
        return a @ b


class Doubled(nn.Module):
    """One operation on every element."""

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """Double."""
        return frame * 2


class TwoLinears(nn.Module):
    """The example of a document: 1000 features to 500 to 100."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.fc1 = nn.Linear(1000, 500)
        self.fc2 = nn.Linear(500, 100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply one after the other."""
        return self.fc2(self.fc1(x))  # type: ignore[no-any-return]


class Generation(nn.Module):
    """A GPT-2 that generates *new* tokens one by one, with its cache or without: ``(batch, prompt)`` to more tokens."""

    def __init__(self, new: int, cache: int = 1, layers: int = 2, hidden: int = 64, vocab: int = 512) -> None:
        """Build the model from a configuration."""
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 - an extra, imported when used

        config = GPT2Config(
            n_embd=hidden, n_layer=layers, n_head=4, vocab_size=vocab, bos_token_id=None, eos_token_id=None
        )
        self.model = GPT2LMHeadModel(config)
        self.new, self.cache = new, bool(cache)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Run the model once for each new token: on the newest alone, or on all that came before."""
        tokens, seen, past = input_ids, input_ids, None
        for _ in range(self.new):
            found: Any = self.model(seen, past_key_values=past, use_cache=self.cache)
            newest = found.logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, newest], 1)
            past, seen = (found.past_key_values, newest) if self.cache else (None, tokens)
        return tokens


