"""Multimodal configurations run with an image and its tokens in the text, and a report says where only the text ran."""

from __future__ import annotations

import json

import pytest
from torch import nn

from profiler.errors import ModelError
from profiler.report import render
from profiler.run.count_target import count_target
from profiler.run.runner import Runner
from profiler.tally.saved import from_json
from profiler.targets import Argument, Target, TensorInput, resolve

pytest.importorskip("transformers")
LAYER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
#: An image of 56 × 56 pixels, in 4 × 4 patches.
VISION = LAYER | {"image_size": 56, "patch_size": 14}
TEXT = LAYER | {"num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 128}
TOKEN = {"image_token_id": 299, "image_token_index": 299}
CLIP, LLAMA = VISION | {"model_type": "clip_vision_model"}, TEXT | {"model_type": "llama", "pad_token_id": 0}
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
QWEN = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2}
#: Type → its configuration, and the tokens of an image.
FAMILIES = {
    "llava": ({"vision_config": CLIP, "text_config": LLAMA}, 16),
    "llava_next": ({"vision_config": CLIP, "text_config": LLAMA, "image_grid_pinpoints": [[56, 112], [112, 56]]},
        36),  # 4 × 4 of the whole, 4 × 4 of the tiles without their padding, and 4 ends of rows
    "qwen2_vl": ({
        "vision_config": QWEN, "text_config": TEXT | {"model_type": "qwen2_vl_text", "rope_parameters": ROPE},
    }, 64),
    "paligemma": ({
        "vision_config": VISION | {"model_type": "siglip_vision_model", "projection_dim": 32},
        "text_config": TEXT | {"model_type": "gemma", "head_dim": 16}, "projection_dim": 32,
    }, 16),
    "idefics3": ({
        "vision_config": VISION | {"model_type": "idefics3_vision"}, "text_config": LLAMA, "scale_factor": 2,
    }, 4),
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(content))
        return f"hf:{path}"

    return write


@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_runs_and_meta_counts_what_the_cpu_counts(write, family):
    content, tokens = FAMILIES[family]
    name = write({"model_type": family} | content | TOKEN)
    ids = next(argument.value for argument in resolve(name).inputs if argument.name == "input_ids")
    assert ids.starts_with == ((299, tokens),)
    for batch in (None, 2):
        on_meta, on_cpu = (count_target(name, device=device, batch=batch) for device in ("auto", "cpu"))
        assert on_meta.device == "meta"
        assert on_meta.notes == ()
        assert "pixel_values" in dict(on_meta.inputs)
        for figure in ("macs", "masked_macs", "other_flops", "transcendentals"):
            assert getattr(on_meta.totals, figure) == getattr(on_cpu.totals, figure), figure
    text_alone = count_target(name, specs=["input_ids=2x128"])
    assert text_alone.totals.macs < on_meta.totals.macs


def test_a_report_says_at_its_top_that_only_the_text_ran(write):
    name = write({"model_type": "llava"} | FAMILIES["llava"][0] | TOKEN)
    told = []
    profile = count_target(name, specs=["input_ids=1x8"], notify=told.append)
    (note,) = profile.notes
    assert told == [note]
    assert note.startswith("only the text of LlavaModel runs")
    assert from_json(render(profile, "json")).notes == (note,)
    for form, lines in (("text", 4), ("markdown", 4)):
        head = " ".join(render(profile, form).splitlines()[:lines])
        assert note[:60] in head.replace("\\", "")
    page = render(profile, "html")
    assert page.index(note[:60]) < page.index('<dl class="headlines">')


def test_the_configuration_of_a_part_builds_the_part(write):
    vision = count_target(write(VISION | {"model_type": "chinese_clip_vision_model"}))
    assert dict(vision.inputs)["pixel_values"].shape == (1, 3, 56, 56)
    text = count_target(write(LAYER | {"model_type": "chinese_clip_text_model", "vocab_size": 30}))
    assert dict(text.inputs)["input_ids"].shape == (1, 512)


def test_sound_has_the_form_with_which_the_model_runs(write):
    encoder = LAYER | {"num_mel_bins": 80, "num_key_value_heads": 2}
    content = {"model_type": "parakeet_ctc", "encoder_config": encoder | {"model_type": "parakeet_encoder"}}
    sound = dict(count_target(write(content)).inputs)["input_features"]
    assert sound.shape == (1, 512, 80)


class NeedsTwo(nn.Module):
    def forward(self, x, bbox=None, mask=None):
        return x + bbox.sum()


def test_an_input_that_is_missing_is_named():
    target = Target("two", NeedsTwo, (Argument(TensorInput((1, 4))),))
    with pytest.raises(ModelError, match=r"two needs more inputs than x; add --input NAME=SHAPE .*: bbox, mask"):
        Runner()(target)
