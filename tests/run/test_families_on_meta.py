"""Families of transformers that ask for the values of masks run on ``meta``, and count what they do on the CPU."""

from __future__ import annotations

import json

import pytest

from profiler.run.count_target import count_target

pytest.importorskip("transformers")

SEQUENCES = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
ENCODERS = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64,
    "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
FAMILIES = {
    "bart": SEQUENCES | {"architectures": ["BartForConditionalGeneration"]},
    "marian": SEQUENCES | {"pad_token_id": 1},
    "led": SEQUENCES
    | {"attention_window": 16, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64},
    "deberta": ENCODERS,
    "longformer": ENCODERS | {"max_position_embeddings": 80, "attention_window": [16]},
    "roformer": ENCODERS,
    "detr": SEQUENCES | {"num_queries": 8, "vocab_size": None},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_meta_counts_what_the_cpu_counts(family, tmp_path):
    content = {"model_type": family} | {key: value for key, value in FAMILIES[family].items() if value is not None}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    specs = ["3x64x64"] if family == "detr" else ["input_ids=1x48"]
    notes = []
    on_meta = count_target(f"hf:{path}", specs=specs, notify=notes.append)
    on_cpu = count_target(f"hf:{path}", specs=specs, device="cpu")
    assert (on_meta.device, notes) == ("meta", [])
    for name in ("macs", "masked_macs", "other_flops", "transcendentals", "params"):
        assert getattr(on_meta.totals, name) == getattr(on_cpu.totals, name), name
    assert not on_meta.uncounted
