"""Small modules that claims are about, where no class of torch is just that."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from profiler.util.generation_cache import cache_name


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
        self.cache_name = cache_name(self.model)
        self.new, self.cache = new, bool(cache)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Run the model once for each new token: on the newest alone, or on all that came before."""
        tokens, seen, past = input_ids, input_ids, None
        for _ in range(self.new):
            found: Any = self.model(seen, use_cache=self.cache, **{self.cache_name: past})
            newest = found.logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, newest], 1)
            past, seen = (getattr(found, self.cache_name), newest) if self.cache else (None, tokens)
        return tokens


class FastSpeech2(nn.Module):
    """FastSpeech 2 in the sizes of its paper, each phoneme *frames* mel frames long: ``(batch, phonemes)`` to mels.

    Untrained predictors would give every phoneme no length; what they predict is thrown away, and the length is set.

    Source: https://arxiv.org/abs/2006.04558, appendix A: 4 + 4 blocks of width 256, 2 heads, kernels 9 and 1.
    """

    def __init__(self, frames: int, width: int = 256, blocks: int = 4, mels: int = 80) -> None:
        """Make the layers."""
        super().__init__()
        self.embedding = nn.Embedding(78, width)
        self.encoder = nn.Sequential(*(_SpeechBlock(width) for _ in range(blocks)))
        self.predictors = nn.ModuleList(_predictor(width) for _ in ("duration", "pitch", "energy"))
        self.decoder = nn.Sequential(*(_SpeechBlock(width) for _ in range(blocks)))
        self.mel = nn.Linear(width, mels)
        self.frames = frames

    def forward(self, phoneme_ids: torch.Tensor) -> torch.Tensor:
        """Encode, predict, stretch to frames and decode."""
        x = self.encoder(self.embedding(phoneme_ids))
        for predictor in self.predictors:
            predictor(x)
        mel: torch.Tensor = self.mel(self.decoder(x.repeat_interleave(self.frames, 1)))
        return mel


class _SpeechBlock(nn.Module):
    """Attention, then two convolutions over time; each with a residual and a norm after it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.norm = Attention(width, heads=2), nn.LayerNorm(width)
        self.filter = nn.Sequential(_Convolution(width, 4 * width, 9), nn.ReLU(), _Convolution(4 * width, width, 1))
        self.last_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x + self.attention(x))
        normed: torch.Tensor = self.last_norm(x + self.filter(x))
        return normed


class _Convolution(nn.Conv1d):
    """A convolution over time, of the same length: ``(batch, time, channels)`` to other channels."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, kernel, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def _predictor(width: int) -> nn.Sequential:
    """Predict one number for each phoneme: two convolutions, each with a norm, and a linear layer."""
    return nn.Sequential(
        _Convolution(width, width, 3), nn.ReLU(), nn.LayerNorm(width),
        _Convolution(width, width, 3), nn.ReLU(), nn.LayerNorm(width), nn.Linear(width, 1),
    )  # fmt: skip
