"""A model whose sizes are variables, and the same model at given values of them.

    sized = SizedTarget(find_configurable_target("hf:gpt2"), ("batch", "sequence", "hidden"))
    target = sized.target({"batch": 2, "sequence": 16, "hidden": 96})

A variable is a size of the inputs (``batch``, ``sequence``, ``height``, ``width``, ``resolution``, ``frames``,
``samples``, or ``INPUT.AXIS``), a setting of the model (``hidden``, ``layers``, ``heads``, or its own name ``n_embd``),
or both: ``resolution`` is the image size and the setting from which a ViT computes its position embeddings. Shapes and
settings can also be formulas of the variables: ``--input x=batch,sequence,hidden``, ``--set positions=2*sequence``.
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
from profiler.expressions import parse, substitute
from profiler.targets.configurable import ConfigurableTarget, unknown_name_error
from profiler.targets.input_file import is_input_file
from profiler.targets.input_specs import check_dtype
from profiler.targets.inputs import dtype_from_name
from profiler.targets.target import Argument, Target, TensorInput
from profiler.util.integers import MAX_DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variable → the axes that it sets, as (kind of dtype, number of dimensions, axes).
_AXES: dict[str, tuple[tuple[str, int, tuple[int, ...]], ...]] = {
    "sequence": (("int", 2, (1,)), ("float", 3, (1,))),
    "height": (("float", 4, (2,)), ("float", 5, (3,))),
    "width": (("float", 4, (3,)), ("float", 5, (4,))),
    "resolution": (("float", 4, (2, 3)), ("float", 5, (3, 4))),
    "frames": (("float", 5, (2,)), ("float", 3, (2,))),
    "samples": (("float", 2, (1,)),),
}


#: A shape with a comma, or with a name where a number could be.
_SYMBOLIC = re.compile(r"[^=]*=?[^:]*,|[^=]*=[A-Za-z_]")


def is_symbolic_shape(text: str) -> bool:
    """Return whether an input is written with variables, as ``x=batch,sequence``, not with numbers, as ``x=1x16``."""
    return not is_input_file(text) and _SYMBOLIC.match(text) is not None


@dataclass(frozen=True)
class SizedTarget:
    """A configurable model, its variables, and the shapes and settings that depend on them."""

    model: ConfigurableTarget
    #: The variables.
    names: tuple[str, ...]
    #: Full shapes of inputs: ``[NAME=]SIZE,SIZE,…[:DTYPE]``, each size a formula of the variables.
    shapes: tuple[str, ...] = ()
    #: Settings of the model: ``NAME=FORMULA``.
    settings: tuple[str, ...] = ()

    @cached_property
    def base(self) -> dict[str, int]:
        """The model's default value of each variable.

        Raises:
            InputError: A name is neither a size of the inputs nor a setting of the model.
        """
        return {name: self._base(name) for name in self.names}

    def target(self, point: Mapping[str, int]) -> Target:
        """Return the model and its inputs at *point*, a value of each variable."""
        target = self.model.make(self.settings_at(point))
        explicit = self._explicit_inputs(point)
        by_name = {argument.name: argument for argument in explicit if argument.name is not None}
        positional = [argument for argument in explicit if argument.name is None]
        # A name may be that of any positional default, so names replace all defaults if these have none.
        replaces_all = by_name and all(argument.name is None for argument in target.inputs)
        defaults = () if positional or replaces_all else target.inputs
        inputs = [by_name.pop(argument.name or "", self._resized(argument, point)) for argument in defaults]
        return replace(target, inputs=(*positional, *inputs, *by_name.values()))

    def settings_at(self, point: Mapping[str, int]) -> dict[str, int]:
        """Return the settings of the model at *point*, under the model's own names."""
        settings = {}
        for name in self.names:
            own = self.model.setting(name)
            if own is not None:
                settings[own] = point[name]
        for name, formula in self._formulas.items():
            settings[name] = _evaluate(formula, point, name, least=0)
        return settings

    @cached_property
    def _formulas(self) -> dict[str, sympy.Expr]:
        """The settings that are formulas, by the model's own names."""
        formulas = {}
        for text in self.settings:
            word, equals, formula = text.partition("=")
            name = self.model.setting(word.strip())
            if not equals or not formula:
                msg = f"cannot read the setting {text!r}; write NAME=NUMBER, or NAME=FORMULA in the sizes of --vary"
                raise InputError(msg)
            if name is None:
                raise InputError(str(unknown_name_error(self.model, "setting", word, [])))
            formulas[name] = parse(formula, self.names)
        return formulas

    def _base(self, name: str) -> int:
        """Return the default of a variable; 0 if it is valid but has none."""
        setting = self.model.setting(name)
        default = self.model.settings[setting] if setting is not None else None
        if default is not None:
            return default
        sizes = [size for argument in self._defaults for size in _sizes(argument, name)]
        if sizes:
            return sizes[0]
        if setting is not None or any(name in text for text in self.shapes) or name == "batch":
            return 1 if name == "batch" else 0
        raise InputError(str(unknown_name_error(self.model, "variable", name, self._input_variables())))

    @cached_property
    def _defaults(self) -> tuple[Argument, ...]:
        return () if self.model.required else self.model.make({}).inputs

    def _input_variables(self) -> list[str]:
        return [word for word in ("batch", *_AXES) if any(_sizes(argument, word) for argument in self._defaults)]

    def _resized(self, argument: Argument, point: Mapping[str, int]) -> Argument:
        """Return a default input with its variable axes set."""

        def resize(tensor: TensorInput) -> TensorInput:
            shape = list(tensor.shape)
            for name in self.names:
                for axis in _axes(tensor, name, argument.name):
                    shape[axis] = point[name] * (tensor.rows if name == "batch" else 1)
            return replace(tensor, shape=tuple(shape))

        return replace(argument, value=tree_map_only(TensorInput, resize, argument.value))

    def _explicit_inputs(self, point: Mapping[str, int]) -> list[Argument]:
        """Return the inputs of ``shapes``, evaluated at *point*."""
        arguments = []
        for text in self.shapes:
            left, equals, right = text.rpartition("=")
            sizes, _, dtype = right.partition(":")
            if dtype:
                check_dtype(text, dtype)
            name = left.strip() if equals else None
            shape = tuple(_evaluate(parse(size, self.names), point, text) for size in sizes.split(","))
            arguments.append(Argument(TensorInput(shape, dtype or dtype_from_name(name or "")), name))
        return arguments


def _sizes(argument: Argument, name: str) -> list[int]:
    """List the sizes of an input that the variable *name* sets."""
    tensors = [leaf for leaf in tree_leaves(argument.value) if isinstance(leaf, TensorInput)]
    return [
        tensor.shape[axis] // (tensor.rows if name == "batch" else 1)
        for tensor in tensors
        for axis in _axes(tensor, name, argument.name)
    ]


def _axes(tensor: TensorInput, name: str, argument: str | None) -> tuple[int, ...]:
    """Return the axes of an input that the variable *name* sets."""
    if name == "batch":
        return (0,) if tensor.shape else ()
    owner, dot, axis = name.rpartition(".")
    if dot and owner == argument and axis.isdecimal() and len(axis) <= MAX_DIGITS and int(axis) < len(tensor.shape):
        return (int(axis),)
    kind = "int" if tensor.dtype is not None and getattr(torch, tensor.dtype).is_floating_point is False else "float"
    rules = _AXES.get(name, ())
    return next((axes for k, dimensions, axes in rules if (k, dimensions) == (kind, len(tensor.shape))), ())


def _evaluate(formula: sympy.Expr, point: Mapping[str, int], what: str, least: int = 1) -> int:
    """Return the integer value of a formula at *point*; *what* names it in the error."""
    value: Any = substitute(formula, point)
    if not isinstance(value, sympy.Integer) or value < least:
        where = ", ".join(f"{k}={v}" for k, v in point.items())
        msg = f"{what!r} is {value} at {where}; it must be an integer of {least} or more"
        raise InputError(msg)
    return int(value)
