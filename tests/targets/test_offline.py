"""Configurations that name code or models on a hub are refused, and nothing else is asked for there."""

from __future__ import annotations

import json
import os
import socket

import pytest

from profiler.errors import ModelError, TargetError
from profiler.targets import build, resolve
from profiler.targets.offline import offline
from profiler.targets.registry import find_configurable_target

GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 10, "n_positions": 8}


@pytest.fixture(autouse=True)
def connections(monkeypatch):
    """Record every attempt to connect, and let it fail."""
    made: list[object] = []

    def refuse(*arguments, **_):
        made.append(arguments)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield made
    assert made == []


def write(tmp_path, **fields):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GPT2 | fields))
    return f"hf:{path}"


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_implementation": "org/kernel"},
        {"attn_implementation": "org/kernel@v1:flash"},
        {"attn_implementation": "paged|kernels-community/flash-attn2"},
        {"attn_implementation": {"": "sdpa", "decoder": "org/kernel"}},
        {"_attn_implementation": "org/kernel"},
        {"_attn_implementation_internal": "org/kernel"},
        {"experts_implementation": "org/kernel"},
        {"text_config": {"attn_implementation": "org/kernel"}},
        {"layers": [{"attn_implementation": "org/kernel"}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("find", [resolve, find_configurable_target])
def test_a_kernel_of_a_hub_is_refused_in_one_line(tmp_path, fields, find):
    with pytest.raises(TargetError) as caught:
        find(write(tmp_path, **fields))
    assert "models are built offline, write eager or sdpa" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "hf_hub:timm/resnet18", "local-dir:/tmp/x"])
@pytest.mark.parametrize(("kind", "field"), [("timm_backbone", "backbone"), ("timm_wrapper", "architecture")])
def test_a_timm_model_of_a_hub_is_refused(tmp_path, name, kind, field):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": kind, field: name}))
    with pytest.raises(TargetError, match="models are built offline, name a model of timm"):
        resolve(f"hf:{path}")


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpoint_path": "weights.pth"},
        {"pretrained_cfg": "a1_in1k"},
        {"pretrained_cfg": {"hf_hub_id": "timm/resnet18"}},
        {"pretrained_cfg_overlay": {"file": "weights.pth"}},
    ],
    ids=str,
)
def test_weights_of_timm_are_refused(tmp_path, arguments):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "timm_wrapper", "architecture": "resnet18", "model_args": arguments}))
    with pytest.raises(TargetError, match="models are built offline, leave it out"):
        resolve(f"hf:{path}")


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_map": {"AutoModel": "org/repository--modeling.Evil"}, "trust_remote_code": True},
        {"_name_or_path": "org/model", "architectures": ["GPT2LMHeadModel"]},
        {"quantization_config": {"quant_method": "finegrained_fp8", "modules_to_not_convert": []}},
        {"attn_implementation": "eager"},
    ],
    ids=str,
)
def test_what_only_names_a_hub_builds_without_it(tmp_path, fields):
    assert build(resolve(write(tmp_path, **fields))).config.n_embd == 8


@pytest.mark.parametrize("architecture", ["pipeline", "AutoModel", "GPT2Config", "logging"])
def test_what_is_no_model_of_transformers_is_refused(tmp_path, architecture):
    with pytest.raises(TargetError, match=f"asks for {architecture}, which is not a model"):
        resolve(write(tmp_path, architectures=[architecture]))


def test_requests_to_the_hub_fail_while_a_model_is_built(tmp_path, monkeypatch):
    import huggingface_hub
    from transformers import GPT2Model

    def download(self, _):
        huggingface_hub.hf_hub_download("org/model", "config.json", force_download=True)

    target = resolve(write(tmp_path))
    monkeypatch.setattr(GPT2Model, "__init__", download)
    with pytest.raises(ModelError):
        build(target, device="cpu")


def test_the_settings_of_the_process_are_restored(monkeypatch):
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE
    monkeypatch.setenv("USE_HUB_KERNELS", "YES")
    with offline():
        assert (hub.HF_HUB_OFFLINE, os.environ["USE_HUB_KERNELS"]) == (True, "NO")
    assert (hub.HF_HUB_OFFLINE, os.environ["USE_HUB_KERNELS"]) == (before, "YES")
    monkeypatch.delenv("USE_HUB_KERNELS")
    with offline():
        pass
    assert "USE_HUB_KERNELS" not in os.environ
