"""Input specifications, as ``--input`` takes them: what is accepted and what is rejected."""

from __future__ import annotations

import pytest

from profiler.errors import InputError
from profiler.targets.input_specs import parse


@pytest.mark.parametrize(
    ("text", "name", "shape", "dtype"),
    [
        ("3x224x224", None, (3, 224, 224), None),
        ("1024", None, (1024,), None),
        ("input_ids=1x2048", "input_ids", (1, 2048), None),
        ("x=1x16:int64", "x", (1, 16), "int64"),
        (" 8:bool ", None, (8,), "bool"),
    ],
)
def test_a_shape_may_have_a_name_and_a_dtype(text, name, shape, dtype):
    spec = parse(text)
    assert (spec.name, spec.shape, spec.dtype) == (name, shape, dtype)


@pytest.mark.parametrize("text", ["3x22y", "", "x=", "=3x4", "3x", "x3", "-3x4", "3,4", "3x4:", "a b=3", "1.5x2"])
def test_what_cannot_be_read_is_answered_with_how_to_write_it(text):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert str(caught.value) == (
        f"cannot read the input {text!r}; write 3x224x224 for one sample, or NAME=1x2048 for a full shape by name"
    )


def test_a_dimension_of_zero_is_refused():
    with pytest.raises(InputError, match=r"^the input '3x0x8' has a dimension of 0; each must be 1 or more$"):
        parse("3x0x8")


@pytest.mark.parametrize("dtype", ["int63", "Tensor", "nn"])
def test_a_dtype_that_torch_does_not_have_is_refused(dtype):
    with pytest.raises(InputError, match=f"^no dtype named '{dtype}' in the input '3x4:{dtype}'; write float32"):
        parse(f"3x4:{dtype}")
