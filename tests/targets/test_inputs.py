"""The arguments made for a module: defaults, input specifications, batch sizes, dtypes and values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from profiler.errors import InputError
from profiler.targets import Argument, Target, TensorInput, make_inputs


class Image(nn.Module):
    def forward(self, x):
        return x


class Pair(nn.Module):
    def forward(self, left, right):
        return left + right


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))

    def forward(self, input_ids=None, attention_mask=None, embeds=None):
        return input_ids


class Anything(nn.Module):
    def forward(self, **named):
        return named


IMAGE = Target("image", Image, (Argument(TensorInput((1, 3, 8, 8))),))
PAIR = Target("pair", Pair, (Argument(TensorInput((1, 3, 8, 8))), Argument(TensorInput((1, 3, 8, 8)))))
TEXT = Target("text", Text, (Argument(TensorInput((1, 16), "int64"), "input_ids"),))
FOUR = Target("four", Image, (Argument(TensorInput((4, 3, 8, 8))),))
DETECTOR = Target("detector", Image, (Argument(TensorInput((1, 3, 8, 8)), as_list=True),))
ANYTHING = Target("anything", Anything)
UNKNOWN = Target("unknown", Pair)
NESTED = Target("nested", Pair, (Argument([TensorInput((2, 4)), 7]), Argument(None)))


def shapes(target, specs=(), batch=None):
    args, kwargs = make_inputs(target, target.construct(), specs, batch=batch)
    return [tuple(a.shape) for a in args], {name: tuple(value.shape) for name, value in kwargs.items()}


@pytest.mark.parametrize(
    ("target", "specs", "batch", "args", "kwargs"),
    [
        (IMAGE, [], None, [(1, 3, 8, 8)], {}),
        (IMAGE, [], 4, [(4, 3, 8, 8)], {}),
        (IMAGE, ["3x16x16"], None, [(1, 3, 16, 16)], {}),
        (IMAGE, ["3x16x16"], 4, [(4, 3, 16, 16)], {}),
        (IMAGE, ["2x3x16x16"], None, [(2, 3, 16, 16)], {}),
        (IMAGE, ["1x3x16x16"], 4, [(4, 3, 16, 16)], {}),
        (IMAGE, ["4x3x16x16"], 4, [(4, 3, 16, 16)], {}),
        (FOUR, ["3x16x16"], None, [(4, 3, 16, 16)], {}),
        (FOUR, [], 2, [(2, 3, 8, 8)], {}),
        (IMAGE, ["x=2x3x4x4"], None, [(2, 3, 4, 4)], {}),
        (IMAGE, ["x=1x5"], 3, [(3, 5)], {}),
        (PAIR, ["3x4x4"], None, [(1, 3, 4, 4), (1, 3, 8, 8)], {}),
        (PAIR, ["3x4x4", "3x5x5"], 2, [(2, 3, 4, 4), (2, 3, 5, 5)], {}),
        (PAIR, ["3x4x4", "3x4x4"], None, [(1, 3, 4, 4), (1, 3, 4, 4)], {}),
        (PAIR, ["right=1x3x4x4"], None, [(1, 3, 8, 8), (1, 3, 4, 4)], {}),
        (TEXT, ["32"], None, [], {"input_ids": (1, 32)}),
        (TEXT, ["input_ids=2x32"], None, [], {"input_ids": (2, 32)}),
        (TEXT, ["embeds=1x16x4"], 2, [], {"input_ids": (2, 16), "embeds": (2, 16, 4)}),
        (UNKNOWN, ["5", "right=1x5"], None, [(1, 5)], {"right": (1, 5)}),
        (UNKNOWN, ["5", "6x7"], 2, [(2, 5), (2, 6, 7)], {}),
        (ANYTHING, ["left=1x3"], None, [], {"left": (1, 3)}),
    ],
)
def test_shapes(target, specs, batch, args, kwargs):
    assert shapes(target, specs, batch) == (args, kwargs)


@pytest.mark.parametrize(
    ("target", "specs", "batch", "message"),
    [
        (IMAGE, ["pixels=1x3"], None, "no input of image named 'pixels'; known: x"),
        (TEXT, ["input_id=1x3"], None, "no input of text named 'input_id'; did you mean 'input_ids'?"),
        (IMAGE, ["4x3x8x8"], 3, "a batch of 3 does not fit the input '4x3x8x8', whose first dimension is 4"),
        (IMAGE, ["x=4x3"], 3, "a batch of 3 does not fit the input 'x=4x3', whose first dimension is 4"),
        (IMAGE, ["3"], None, "the input '3' does not fit image, which takes 3x8x8 (one sample) or 1x3x8x8"),
        (IMAGE, [], 0, "the batch size is 0; it must be 1 or more"),
        (IMAGE, [], -2, "the batch size is -2; it must be 1 or more"),
        (TEXT, ["x=1", "x=2"], None, "no input of text named 'x'; known: attention_mask, embeds, input_ids"),
        (
            TEXT,
            ["embeds=1", "embeds=2"],
            None,
            "the input 'embeds=2' sets an argument that is already set; write NAME=2, each name once",
        ),
        (
            UNKNOWN,
            [],
            None,
            "unknown has no default input (it takes left, right); add --input, such as 3x224x224",
        ),
        (
            UNKNOWN,
            ["5"],
            None,
            (
                "unknown cannot be called with these inputs: "
                "missing a required argument: 'right'; write --input NAME=SHAPE"
            ),
        ),
        (
            IMAGE,
            ["3x4x4", "3x4x4"],
            None,
            "image cannot be called with these inputs: too many positional arguments; write --input NAME=SHAPE",
        ),
        (NESTED, ["4"], None, "the input 'left' of nested is not a tensor; only its default can be used"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(target, specs, batch, message):
    with pytest.raises(InputError) as caught:
        make_inputs(target, target.construct(), specs, batch=batch)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("spec", "dtype"),
    [
        ("input_ids=1x8", torch.int64),
        ("attention_mask=1x8", torch.int64),
        ("embeds=1x8x4", torch.bfloat16),
        ("embeds=1x8x4:float32", torch.float32),
        ("input_ids=1x8:int32", torch.int32),
    ],
)
def test_a_dtype_is_the_one_asked_for_or_follows_from_the_name_and_the_module(spec, dtype):
    _, kwargs = make_inputs(TEXT, Text(), [spec])
    assert kwargs[spec.partition("=")[0]].dtype == dtype


def test_a_positional_input_has_the_dtype_that_its_parameters_name_tells():
    (ids,), _ = make_inputs(Target("ids", Text), Text(), ["8"])
    assert ids.dtype == torch.int64


def test_masks_are_ones_and_other_integers_zero():
    _, kwargs = make_inputs(TEXT, Text(), ["attention_mask=1x8"], device="cpu")
    assert kwargs["attention_mask"].eq(1).all()
    assert kwargs["input_ids"].eq(0).all()


def test_floating_values_are_normal_and_the_same_every_time():
    before = torch.get_rng_state()
    (first,), _ = make_inputs(IMAGE, Image(), ["3x64x64"], device="cpu")
    (second,), _ = make_inputs(IMAGE, Image(), ["3x64x64"], device="cpu")
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert abs(first.mean()) < 0.05  # 12,288 draws: a standard error of 0.009
    assert abs(first.std() - 1) < 0.05


def test_two_inputs_have_different_values():
    (left, right), _ = make_inputs(PAIR, Pair(), device="cpu")
    assert not torch.equal(left, right)


@pytest.mark.parametrize("dtype", ["complex64", "float16", "bool", "uint8"])
def test_values_of_every_kind_can_be_made(dtype):
    before = torch.get_rng_state()
    (tensor,), _ = make_inputs(IMAGE, Image(), [f"3x4x4:{dtype}"], device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert tensor.dtype == getattr(torch, dtype)


def test_on_meta_an_input_has_no_values():
    (image,), _ = make_inputs(IMAGE, Image(), ["3x100000x100000"], device="meta")
    assert image.is_meta


def test_a_detector_is_given_a_list_with_one_image_a_sample():
    (images,), _ = make_inputs(DETECTOR, Image(), ["3x4x5"], batch=2)
    assert [tuple(image.shape) for image in images] == [(3, 4, 5), (3, 4, 5)]
    assert isinstance(images, list)


def test_nested_defaults_and_constants_keep_their_form():
    args, _ = make_inputs(NESTED, Pair(), batch=3)
    (tensor, constant), nothing = args
    assert (tuple(tensor.shape), constant, nothing) == ((3, 4), 7, None)


class Sound(nn.Module):
    def forward(self, input_values):
        return input_values


def test_the_hint_for_a_model_without_a_default_input_fits_its_kind():
    with pytest.raises(InputError, match=r"it takes input_values\); add --input, such as input_values=1x16000$"):
        make_inputs(Target("sound", Sound), Sound())
    with pytest.raises(InputError, match=r"it takes left, right\); add --input, such as 3x224x224$"):
        make_inputs(UNKNOWN, Pair())
