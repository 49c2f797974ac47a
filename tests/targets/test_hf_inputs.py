"""Inputs derived from transformers' configurations, by kind of model."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from profiler.errors import ModelError, TargetError, UnknownNameError
from profiler.run import runner
from profiler.run.count_target import count_target
from profiler.targets import Target, resolve
from profiler.targets.target import Argument, TensorInput

pytest.importorskip("transformers")
SMALL = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
VISION = SMALL | {"image_size": 32, "patch_size": 16}
CLIP = {
    "model_type": "clip", "vision_config": VISION,
    "text_config": SMALL | {"vocab_size": 50, "max_position_embeddings": 9},
}  # fmt: skip
WHISPER = {
    "model_type": "whisper", "num_mel_bins": 8, "max_source_positions": 12, "max_target_positions": 6, "d_model": 16,
    "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 60000,
}  # fmt: skip
AST = SMALL | {"model_type": "audio-spectrogram-transformer", "num_mel_bins": 32, "max_length": 64}
XLNET = {"model_type": "xlnet", "n_layer": 1, "d_model": 16, "n_head": 2, "d_inner": 16, "vocab_size": 50}
ROBERTA = SMALL | {"model_type": "roberta", "max_position_embeddings": 12, "pad_token_id": 1, "vocab_size": 50}
PIX2STRUCT = {
    "model_type": "pix2struct",
    "vision_config": {"hidden_size": 16, "patch_embed_hidden_size": 48, "d_ff": 16, "d_kv": 8, "num_hidden_layers": 1,
                      "num_attention_heads": 2, "patch_size": 4},
    "text_config": {"hidden_size": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 50},
}  # fmt: skip
INPUTS = {
    "patches": (PIX2STRUCT, {"flattened_patches": (1, 2048, 3 * 4 * 4 + 2), "decoder_input_ids": (1, 512)}),
    "clip": (CLIP, {"input_ids": (1, 9), "pixel_values": (1, 3, 32, 32)}),
    "whisper": (WHISPER, {"input_features": (1, 8, 24), "decoder_input_ids": (1, 6)}),
    "spectrogram": (AST, {"input_values": (1, 64, 32)}),
    "positions after the padding's": (ROBERTA, {"input_ids": (1, 10)}),
    "no limit": (XLNET, {"input_ids": (1, 512)}),
    "convolutions": ({"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8], "depths": [1]},
                     {"pixel_values": (1, 3, 224, 224)}),
}  # fmt: skip


@pytest.mark.parametrize(("values", "shapes"), INPUTS.values(), ids=INPUTS)
def test_the_inputs_are_those_of_the_configuration_and_the_model_runs(tmp_path, values, shapes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    target = resolve(f"hf:{path}")
    assert {argument.name: argument.value.shape for argument in target.inputs} == shapes
    assert target.left_out([argument.name for argument in target.inputs]) == ""
    assert count_target(f"hf:{path}").totals.macs == count_target(f"hf:{path}", device="cpu").totals.macs > 0


class NeedsValues(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum().item() else x


def test_a_large_model_does_not_fall_back_to_the_cpu_unasked(monkeypatch):
    monkeypatch.setattr(runner, "_MOST_FALLBACK_BYTES", 100)
    target = Target("large", lambda: NeedsValues(8, 8), (Argument(TensorInput((1, 8))),))
    with pytest.raises(ModelError, match=r"has 288 B of weights; --device cpu runs it"):
        runner.Runner()(target)
    assert runner.Runner(device="cpu")(target).totals.params == torch.nn.Linear(8, 8).weight.numel() + 8


@pytest.mark.parametrize(("name", "near"), [("yolov5", "nearest are timm:"), ("hf:t5-small", "nearest are .*t5-base")])
def test_the_nearest_names_are_suggested(name, near):
    with pytest.raises(UnknownNameError, match=near):
        resolve(name)


def test_an_onnx_graph_is_answered_with_what_to_do():
    with pytest.raises(TargetError, match=r"onnx2torch\.convert"):
        resolve("model.onnx")
