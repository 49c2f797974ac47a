"""BERT as it is fine-tuned for SQuAD, without weights: two models of ``docs/measured/lambda-training.csv``.

python -m profiler benchmarks/bert.py:base_squad --input 384:int64 --train
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def base_squad() -> nn.Module:
    """Return BERT base."""
    return _answers_questions()


def large_squad() -> nn.Module:
    """Return BERT large."""
    return _answers_questions(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)


def _answers_questions(**config: int) -> nn.Module:
    """Return a model whose attention writes its scores to memory, as that of NVIDIA's examples does."""
    from transformers import BertConfig, BertForQuestionAnswering

    return BertForQuestionAnswering._from_config(BertConfig(**config), attn_implementation="eager")
