"""transformers models from configuration files."""

from __future__ import annotations

import json

import pytest
import torch

from profiler.errors import ModelError, TargetError, UnknownNameError
from profiler.targets import TensorInput, build, make_inputs, resolve

GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 4}
VIT = {
    "model_type": "vit", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip
T5 = {"model_type": "t5", "num_layers": 1, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_heads": 2, "vocab_size": 16}


@pytest.fixture
def config(tmp_path):
    def write(content):
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return f"hf:{path}"

    return write


@pytest.mark.parametrize(
    ("values", "kind", "inputs"),
    [
        (GPT2, "GPT2Model", {"input_ids": TensorInput((1, 4), "int64")}),
        (GPT2 | {"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel", {"input_ids": TensorInput((1, 4), "int64")}),
        (GPT2 | {"n_positions": 9999}, "GPT2Model", {"input_ids": TensorInput((1, 2048), "int64")}),
        (VIT, "ViTModel", {"pixel_values": TensorInput((1, 3, 32, 32))}),
        (
            T5 | {"architectures": ["T5ForConditionalGeneration"]},
            "T5ForConditionalGeneration",
            {"input_ids": TensorInput((1, 512), "int64"), "decoder_input_ids": TensorInput((1, 512), "int64")},
        ),
    ],
)
def test_a_configuration_file_is_a_model_with_a_default_input(config, values, kind, inputs):
    target = resolve(config(values))
    module = build(target)
    args, kwargs = make_inputs(target, module)
    with torch.no_grad():
        module(*args, **kwargs)
    assert type(module).__name__ == kind
    assert {argument.name: argument.value for argument in target.inputs} == inputs


def test_a_model_is_in_float32_whatever_its_file_says(config):
    module = build(resolve(config(GPT2 | {"dtype": "bfloat16", "torch_dtype": "bfloat16"})))
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_a_target_can_be_built_again(config):
    target = resolve(config(GPT2))
    first, second = build(target, device="meta"), build(target, device="cpu")
    assert first.config.to_dict() == second.config.to_dict()


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", TargetError, " is not JSON, or was cut short ("),
        ("[1]", TargetError, " is not a configuration: it has a list where a JSON object is expected"),
        ("{}", UnknownNameError, "no transformers model type in "),
        ({"model_type": "gtp2"}, UnknownNameError, "named 'gtp2'; did you mean 'gpt2'"),
        (GPT2 | {"n_layer": "many"}, TargetError, " is not a valid configuration of gpt2: "),
        (
            GPT2 | {"architectures": ["GPT5"]},
            TargetError,
            " asks for 'GPT5', which this version of transformers does not",
        ),
        (GPT2 | {"n_head": 3}, ModelError, " cannot be built: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(config, content, kind, message):
    with pytest.raises(kind) as caught:
        build(resolve(config(content)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(
        TargetError,
        match=r"^cannot read none/config.json: No such file or directory; give the config.json of a model of transform",
    ):
        resolve("hf:none/config.json")
