"""Names for a model's sizes, and the model at given sizes.

    sized = Sized(find_family("hf:gpt2"), ("batch", "sequence", "hidden"))
    target = sized.target({"batch": 2, "sequence": 16, "hidden": 96})

A name is an input's size (``batch``, ``sequence``, ``height``, ``width``, ``resolution``, ``frames``, ``samples``, or
``INPUT.AXIS``), or a setting of the model (``hidden``, ``layers``, ``heads``, its own ``n_embd``), or both: an image's
``resolution`` is also that of the positions of a ViT. ``--input x=batch,sequence,hidden`` and ``--set
positions=2*sequence`` say what follows from what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy
import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from profiler.errors import InputError
from profiler.expressions import parse, put
from profiler.targets.configurable import ConfigurableTarget, unknown
from profiler.targets.target import Argument, Target, TensorInput

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Axes by word, of inputs with so many dimensions and of a kind; negative ones are counted from the end.
_AXES: dict[str, tuple[tuple[str, int, tuple[int, ...]], ...]] = {
    "sequence": (("int", 2, (1,)), ("float", 3, (1,))),
    "height": (("float", 4, (2,)), ("float", 5, (3,))),
    "width": (("float", 4, (3,)), ("float", 5, (4,))),
    "resolution": (("float", 4, (2, 3)), ("float", 5, (3, 4))),
    "frames": (("float", 5, (2,)), ("float", 3, (2,))),
    "samples": (("float", 2, (1,)),),
}


#: A shape that is given in sizes: it has a comma, or a name where a number could stand.
_IN_SIZES = re.compile(r"[^=]*=?[^:]*,|[^=]*=[A-Za-z_]")


def is_in_sizes(shape: str) -> bool:
    """Say whether a shape is written in sizes, as ``x=batch,sequence``, and not in numbers, as ``x=1x16``."""
    return _IN_SIZES.match(shape) is not None


@dataclass(frozen=True)
class SizedTarget:
    """A family, the names of the sizes that are varied, and what follows from them."""

    family: ConfigurableTarget
    names: tuple[str, ...]
    #: ``[NAME=]SIZE,SIZE,…[:DTYPE]``: whole shapes of inputs, each size a formula.
    shapes: tuple[str, ...] = ()
    #: ``NAME=FORMULA``: settings.
    settings: tuple[str, ...] = ()

    @cached_property
    def base(self) -> dict[str, int]:
        """The sizes that the model has by default.

        Raises:
            UnknownNameError: The model has no such size.
        """
        return {name: self._base(name) for name in self.names}

    def target(self, point: Mapping[str, int]) -> Target:
        """Describe the model at these sizes, and what it is called with."""
        target = self.family.make(self.chosen(point))
        asked = self._asked(point)
        named = {argument.name: argument for argument in asked if argument.name is not None}
        unnamed = [argument for argument in asked if argument.name is None]
        by_place = all(argument.name is None for argument in target.inputs)
        defaults = () if unnamed or (named and by_place) else target.inputs  # a name may be that of any place
        sized = [named.pop(argument.name or "", self._sized(argument, point)) for argument in defaults]
        return replace(target, inputs=(*unnamed, *sized, *named.values()))

    def chosen(self, point: Mapping[str, int]) -> dict[str, int]:
        """Give the settings of the model at these sizes."""
        chosen = {}
        for name in self.names:
            setting = self.family.setting(name)
            if setting is not None:
                chosen[setting] = point[name]
        for name, formula in self._formulas.items():
            chosen[name] = _whole(formula, point, name, least=0)
        return chosen

    @cached_property
    def _formulas(self) -> dict[str, sympy.Expr]:
        found = {}
        for text in self.settings:
            word, equals, formula = text.partition("=")
            name = self.family.setting(word.strip())
            if not equals or not formula:
                msg = f"cannot read the setting {text!r}; write NAME=NUMBER, or NAME=FORMULA in the sizes of --vary"
                raise InputError(msg)
            if name is None:
                raise InputError(str(unknown(self.family, "setting", word, [])))
            found[name] = parse(formula, self.names)
        return found

    def _base(self, name: str) -> int:
        setting = self.family.setting(name)
        default = self.family.settings[setting] if setting is not None else None
        if default is not None:
            return default
        sizes = [size for argument in self._defaults for size in _sizes(argument, name)]
        if sizes:
            return sizes[0]
        if setting is not None or any(name in text for text in self.shapes) or name == "batch":
            return 1 if name == "batch" else 0
        raise InputError(str(unknown(self.family, "variable", name, self._inputs())))

    @cached_property
    def _defaults(self) -> tuple[Argument, ...]:
        return () if self.family.required else self.family.make({}).inputs

    def _inputs(self) -> list[str]:
        return [word for word in ("batch", *_AXES) if any(_sizes(argument, word) for argument in self._defaults)]

    def _sized(self, argument: Argument, point: Mapping[str, int]) -> Argument:
        """Put the sizes into a default input."""

        def resize(tensor: TensorInput) -> TensorInput:
            shape = list(tensor.shape)
            for name in self.names:
                for axis in _axes(tensor, name, argument.name):
                    shape[axis] = point[name]
            return replace(tensor, shape=tuple(shape))

        return replace(argument, value=tree_map_only(TensorInput, resize, argument.value))

    def _asked(self, point: Mapping[str, int]) -> list[Argument]:
        """Make the inputs whose shapes are given."""
        found = []
        for text in self.shapes:
            left, equals, right = text.rpartition("=")
            sizes, _, dtype = right.partition(":")
            if dtype and not isinstance(getattr(torch, dtype, None), torch.dtype):
                msg = f"no dtype named {dtype!r} in the input {text!r}; write float32, bfloat16, float16, int64 or bool"
                raise InputError(msg)
            name = left.strip() if equals else None
            shape = tuple(_whole(parse(size, self.names), point, text) for size in sizes.split(","))
            guess = "int64" if name and name.endswith(("ids", "mask", "labels", "lengths")) else None
            found.append(Argument(TensorInput(shape, dtype or guess), name))
        return found


def _sizes(argument: Argument, name: str) -> list[int]:
    """List the sizes that a name stands for in an input."""
    tensors = [leaf for leaf in tree_leaves(argument.value) if isinstance(leaf, TensorInput)]
    return [tensor.shape[axis] for tensor in tensors for axis in _axes(tensor, name, argument.name)]


def _axes(tensor: TensorInput, name: str, argument: str | None) -> tuple[int, ...]:
    """Give the axes of an input that a name stands for."""
    if name == "batch":
        return (0,) if tensor.shape else ()
    owner, dot, axis = name.rpartition(".")
    if dot and owner == argument and axis.isdecimal() and int(axis) < len(tensor.shape):
        return (int(axis),)
    kind = "int" if tensor.dtype is not None and getattr(torch, tensor.dtype).is_floating_point is False else "float"
    rules = _AXES.get(name, ())
    return next((axes for k, dimensions, axes in rules if (k, dimensions) == (kind, len(tensor.shape))), ())


def _whole(formula: sympy.Expr, point: Mapping[str, int], what: str, least: int = 1) -> int:
    """Give a size that a formula says."""
    value: Any = put(formula, point)
    if not isinstance(value, sympy.Integer) or value < least:
        msg = f"{what!r} is {value} at {', '.join(f'{k}={v}' for k, v in point.items())}, which is no size"
        raise InputError(msg)
    return int(value)
