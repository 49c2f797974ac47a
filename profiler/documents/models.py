"""Small modules that claims of documents measure, where torch has no class for them.

Attention and blocks are computed by their parts: claims are about these, and in eval mode torch would fuse them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from profiler.util.encoder_fast_path import no_fast_path
from profiler.util.generation_cache import cache_name


class FeedForward(nn.Sequential):
    """Two linear layers, to four times the width and back, with a GELU between: ``(…, width)`` → ``(…, width)``."""

    def __init__(self, width: int) -> None:
        """Create the layers."""
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Attention(nn.MultiheadAttention):
    """Self-attention: ``(batch, sequence, width)`` → ``(batch, sequence, width)``."""

    def __init__(self, width: int, heads: int = 4, bias: int = 1) -> None:
        """Create the projections, without biases if *bias* is 0."""
        super().__init__(width, heads, bias=bool(bias), batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Compute unmasked attention of *x* to itself."""
        with no_fast_path():
            result: torch.Tensor = super().forward(x, x, x, need_weights=False)[0]
        return result


class CrossAttention(nn.MultiheadAttention):
    """Cross-attention: ``(batch, queries, width)`` and ``(batch, keys, width)`` → ``(batch, queries, width)``."""

    def __init__(self, width: int, heads: int = 4) -> None:
        """Create the projections."""
        super().__init__(width, heads, batch_first=True)

    def forward(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Compute attention of *queries* to *keys*."""
        result: torch.Tensor = super().forward(queries, keys, keys, need_weights=False)[0]
        return result


class Block(nn.TransformerEncoderLayer):
    """A pre-norm Transformer block: ``(batch, sequence, width)`` → ``(batch, sequence, width)``."""

    def __init__(self, width: int, heads: int = 4) -> None:
        """Create the layers; the feed-forward network is four times as wide."""
        super().__init__(width, heads, 4 * width, batch_first=True, activation="gelu", norm_first=True)

    def forward(self, src: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Compute attention of *src* to itself, and the feed-forward network."""
        with no_fast_path():
            result: torch.Tensor = super().forward(src)
        return result


class Matmul(nn.Module):
    """A matrix product: ``(height, depth) @ (depth, width)``."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return ``a @ b``."""
        return a @ b


class Doubled(nn.Module):
    """An elementwise product with 2: one FLOP per element."""

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """Return ``frame * 2``."""
        return frame * 2


class TwoLinears(nn.Module):
    """Two linear layers: ``(…, 1000)`` → ``(…, 500)`` → ``(…, 100)``."""

    def __init__(self) -> None:
        """Create the layers."""
        super().__init__()
        self.fc1 = nn.Linear(1000, 500)
        self.fc2 = nn.Linear(500, 100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the two layers in sequence."""
        return self.fc2(self.fc1(x))  # type: ignore[no-any-return]


class Generation(nn.Module):
    """Greedy generation with GPT-2: token ids ``(batch, prompt)`` → ``(batch, prompt + new)``.

    Args:
        new: The number of tokens to generate.
        cache: Whether to keep the keys and values of earlier tokens (1), or to recompute them for every token (0).
        layers: The number of blocks.
        hidden: The width.
        vocab: The size of the vocabulary.
    """

    def __init__(self, new: int, cache: int = 1, layers: int = 2, hidden: int = 64, vocab: int = 512) -> None:
        """Create the model from a configuration, with random weights."""
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 - an extra, imported when used

        config = GPT2Config(
            n_embd=hidden, n_layer=layers, n_head=4, vocab_size=vocab, bos_token_id=None, eos_token_id=None
        )
        self.model = GPT2LMHeadModel(config)
        self.cache_name = cache_name(self.model)
        self.new, self.cache = new, bool(cache)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Run the model once per new token: on the newest token with a cache, else on the whole sequence."""
        tokens, step_input, past = input_ids, input_ids, None
        for _ in range(self.new):
            output: Any = self.model(step_input, use_cache=self.cache, **{self.cache_name: past})
            newest = output.logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, newest], 1)
            past, step_input = (getattr(output, self.cache_name), newest) if self.cache else (None, tokens)
        return tokens


class FastSpeech2(nn.Module):
    """FastSpeech 2 in the sizes of its paper: ``(batch, phonemes)`` → ``(batch, phonemes · frames, mels)``.

    Every phoneme is *frames* mel frames long. The duration predictor runs, but its output is discarded: untrained, it
    would predict a length of zero.

    Source: https://arxiv.org/abs/2006.04558, appendix A: 4 + 4 blocks of width 256, 2 heads, kernels 9 and 1.
    """

    def __init__(self, frames: int, width: int = 256, blocks: int = 4, mels: int = 80) -> None:
        """Create the layers."""
        super().__init__()
        self.embedding = nn.Embedding(78, width)
        self.encoder = nn.Sequential(*(_SpeechBlock(width) for _ in range(blocks)))
        self.predictors = nn.ModuleList(_predictor(width) for _ in ("duration", "pitch", "energy"))
        self.decoder = nn.Sequential(*(_SpeechBlock(width) for _ in range(blocks)))
        self.mel = nn.Linear(width, mels)
        self.frames = frames

    def forward(self, phoneme_ids: torch.Tensor) -> torch.Tensor:
        """Encode the phonemes, run the predictors, repeat every phoneme *frames* times, and decode."""
        x = self.encoder(self.embedding(phoneme_ids))
        for predictor in self.predictors:
            predictor(x)
        mel: torch.Tensor = self.mel(self.decoder(x.repeat_interleave(self.frames, 1)))
        return mel


class _SpeechBlock(nn.Module):
    """Self-attention, then two convolutions over time, each with a residual connection and a post-norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.norm = Attention(width, heads=2), nn.LayerNorm(width)
        self.filter = nn.Sequential(_Convolution(width, 4 * width, 9), nn.ReLU(), _Convolution(4 * width, width, 1))
        self.last_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x + self.attention(x))
        result: torch.Tensor = self.last_norm(x + self.filter(x))
        return result


class _Convolution(nn.Conv1d):
    """A convolution over time that keeps the length: ``(batch, time, channels)`` → ``(batch, time, filters)``."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, kernel, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def _predictor(width: int) -> nn.Sequential:
    """Return a predictor of one number per phoneme: two convolutions with norms, and a linear layer."""
    return nn.Sequential(
        _Convolution(width, width, 3), nn.ReLU(), nn.LayerNorm(width),
        _Convolution(width, width, 3), nn.ReLU(), nn.LayerNorm(width), nn.Linear(width, 1),
    )  # fmt: skip
