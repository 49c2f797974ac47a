"""The memory formats of images, which kernels depend on: from the strides that the same run has on the CPU."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

import profiler
from profiler.devices import find_device
from profiler.projection.ideal_times import ideal_times
from profiler.projection.memory_formats import is_channels_last
from profiler.projection.precision import choose_precision
from profiler.projection.time_table import TimeTable
from profiler.projection.work import operator_work

GPU = find_device("rtx-3090")
TABLE = TimeTable("GPU", "eager", "inference", kernel_us=0.0, launch_us=0.0, compute={}, memory={})


class Block(nn.Module):
    """A depthwise convolution after something that leaves its input in a memory format."""

    def __init__(self, before):
        super().__init__()
        self.stem, self.linear, self.before = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8), before
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)

    def forward(self, x):
        """Note the strides that the depthwise convolution reads."""
        image = self.before(self, self.stem(x))
        self.is_last = image.is_contiguous(memory_format=torch.channels_last)
        return self.depthwise(image)


def tokens(block, x):
    return block.linear(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)


BEFORE = {
    "nothing": lambda _, x: x,
    "pointwise": lambda _, x: x.relu() + 1,
    "permuted": lambda block, x: block.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "permuted, then pointwise": lambda block, x: block.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).relu(),
    "norm": lambda _, x: functional.layer_norm(x.permute(0, 2, 3, 1), [8]).permute(0, 3, 1, 2),
    "contiguous": lambda block, x: block.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous(),
    "tokens": tokens,
    "twice": lambda block, x: block.depthwise(block.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
}


class Run(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def works(model, *shape, mode="eager", device="cpu"):
    module = model if isinstance(model, nn.Module) else Run(model)
    profile = profiler.count(module, torch.empty(*shape, device=device))
    return operator_work(profile, choose_precision(profile, GPU, None), mode)


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_the_class_of_a_depthwise_convolution_is_that_of_its_strides(before):
    block = Block(before)
    block(torch.empty(2, 3, 16, 16))
    depthwise = [work for work in works(block, 2, 3, 16, 16) if work.is_depthwise]
    assert {work.class_.endswith("_channels_last") for work in depthwise} == {block.is_last}


def test_only_depthwise_convolutions_have_a_class_by_their_strides():
    classes = {work.class_ for work in works(Block(BEFORE["permuted, then pointwise"]), 2, 3, 16, 16)}
    assert {class_ for class_ in classes if class_.endswith("_channels_last")} == {"depthwise_7x7_channels_last"}
    assert "pointwise" in classes


def test_a_converted_model_has_one_class():
    assert {work.class_ for work in works(Block(BEFORE["permuted"]), 2, 3, 16, 16, mode="channels_last")} >= {
        "depthwise_7x7"
    }


@pytest.mark.parametrize(
    ("model", "images"),
    [
        (lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"), 3 * 5),
        (lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic"), 3 * 5),
        (lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"), 0),
        (lambda x: functional.interpolate((x.permute(0, 2, 3, 1) + 1).permute(0, 3, 1, 2), scale_factor=2), 0),
    ],
)
def test_a_contiguous_image_is_interpolated_one_channel_after_another(model, images):
    """Three samples of five channels."""
    assert sum(work.waits for work in works(model, 3, 5, 8, 8)) == images


def test_a_wait_is_a_time_whatever_the_rates_are():
    """15 loads of 2 µs, beside the traffic."""
    ideals = ideal_times(works(lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"), 3, 5, 8, 8), GPU)
    waiting, other = (replace(TABLE, wait_us=us).pass_seconds(ideals) for us in (2.0, 0.0))
    assert waiting - other == pytest.approx(15 * 2e-6)


@pytest.mark.parametrize(("shape", "scores"), [((2, 3, 5, 7, 4), 2 * 3 * 5 * 7 * 7), ((2, 5, 7, 4), 0), ((5, 7, 4), 0)])
def test_the_scores_of_attention_over_windows_reach_memory(shape, scores):
    """Written, read and written by softmax, and read again, in float32."""
    with torch.inference_mode():
        attention = works(lambda x: functional.scaled_dot_product_attention(x, x, x), *shape, device="meta")
    assert sum(work.score_bytes for work in attention) == 4 * 4 * scores


@pytest.mark.parametrize(
    ("layer", "class_"),
    [
        (nn.Conv2d(8, 16, 1), "conv_1x1"), (nn.Conv2d(8, 12, 1), "conv_1x1_padded"), (nn.Conv2d(8, 16, 3), "conv"),
        (nn.Conv2d(8, 8, 3, groups=2), "conv_grouped"), (nn.Conv2d(8, 12, 3, groups=2), "conv_grouped"),
        (nn.Conv2d(24, 24, 3, groups=4), "conv_grouped_padded"), (nn.AvgPool2d(2), "average_pooling"),
        (nn.MaxPool2d(2), "pooling"), (nn.Upsample(scale_factor=2), "upsample"),
    ],
)  # fmt: skip
def test_the_class_of_a_layer_whose_shape_kernels_depend_on(layer, class_):
    channels = layer.in_channels if isinstance(layer, nn.Conv2d) else 8
    assert class_ in {work.class_ for work in works(layer, 2, channels, 8, 8)}


@pytest.mark.parametrize(("features", "class_"), [([64], "layer_norm_short"), ([65], "norm"), ([8, 9], "norm")])
def test_a_short_layer_norm_has_a_class(features, class_):
    assert class_ in {work.class_ for work in works(nn.LayerNorm(features), 2, *features)}


@pytest.mark.parametrize("rows", [(8 * 14 * 14, 64), (8, 14 * 14, 64)])
def test_an_image_of_rows_of_features_has_its_channels_last(rows):
    features = torch.ones(rows)
    image = features.view(8, 14, 14, 64).permute(0, 3, 1, 2)
    assert is_channels_last(tuple(image.shape), rows, False) == image.is_contiguous(memory_format=torch.channels_last)
    assert not is_channels_last(tuple(image.shape), (*rows[:-1], 32), False)
