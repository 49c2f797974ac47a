"""What a module is called with: its target's default inputs, changed by ``--input`` and ``--batch``."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from torch.utils._pytree import tree_map_only

from profiler.errors import InputError
from profiler.targets.input_specs import Spec, parse
from profiler.targets.input_tensors import TensorMaker, floating_dtype
from profiler.targets.signatures import Forward
from profiler.targets.target import Argument, TensorInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from profiler.targets.target import Target

#: What a name ends in whose tensor holds integers, unless a dtype is asked for.
_INTEGERS = ("ids", "mask", "labels", "lengths")


def make_inputs(
    target: Target,
    module: nn.Module,
    specs: Sequence[str] = (),
    *,
    batch: int | None = None,
    device: torch.device | str = "meta",
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make the arguments for one call of *module*, which was built from *target*.

    A specification without a name is for the first input, a second one for the second, and so on: of one sample, or
    whole where it has as many dimensions as the default. *batch* is the first dimension of every input.

    On ``meta`` tensors have no values. Elsewhere floating ones are normal, from a seed of their own, masks are ones and
    other integers zero. Floating dtypes are the module's own unless the specification says otherwise.

    Raises:
        InputError: A specification cannot be read, or fits neither the module nor the batch.
    """
    if batch is not None and batch < 1:
        msg = f"a batch of {batch} is no batch; write 1 or more"
        raise InputError(msg)
    forward = Forward.of(target.name, module)
    arguments = _apply([parse(text) for text in specs], target, forward, batch)
    maker = TensorMaker(device, floating_dtype(module))
    made = [(a.name, maker.make(a, name)) for a, name in zip(arguments, forward.names(arguments), strict=True)]
    args = tuple(value for name, value in made if name is None)
    kwargs = {name: value for name, value in made if name is not None}
    forward.check(args, kwargs)
    return args, kwargs


def _apply(specs: list[Spec], target: Target, forward: Forward, batch: int | None) -> list[Argument]:
    """Put what was asked for in the place of the defaults, and scale the defaults that are left."""
    arguments = list(target.inputs)
    asked: dict[int, Argument] = {}
    positions = count()
    for spec in specs:
        at = next(positions) if spec.name is None else _place(spec.name, arguments, forward)
        if at in asked or at > len(arguments):
            shape = spec.text.rpartition("=")[2]
            msg = f"the input {spec.text!r} has no place of its own; write NAME={shape}, and each name once"
            raise InputError(msg)
        if at == len(arguments):
            arguments.append(Argument(None, spec.name))
        asked[at] = _ask(spec, arguments[at], forward.names(arguments)[at], target, batch)
    return [asked.get(i) or _scaled(argument, batch) for i, argument in enumerate(arguments)]


def _place(name: str, arguments: list[Argument], forward: Forward) -> int:
    """Find the argument of a name; the end of the list where it has no default."""
    names = forward.names(arguments)
    if name in names:
        return names.index(name)
    forward.require(name)
    return len(arguments)


def _ask(spec: Spec, default: Argument, name: str, target: Target, batch: int | None) -> Argument:
    """Make the argument that *spec* asks for, in the place of *default*."""
    tensor = default.value
    if tensor is not None and not isinstance(tensor, TensorInput):
        msg = f"the input {name!r} of {target.name} is no tensor; only its default can be used"
        raise InputError(msg)
    shape = _shape(spec, tensor, target, batch)
    fallback = tensor.dtype if tensor is not None else _guess(name)
    return replace(default, value=TensorInput(shape, spec.dtype or fallback))


def _guess(name: str) -> str | None:
    return "int64" if name.endswith(_INTEGERS) else None


def _shape(spec: Spec, default: TensorInput | None, target: Target, batch: int | None) -> tuple[int, ...]:
    """Give the whole shape that *spec* asks for."""
    if spec.name is not None:
        return _whole(spec, batch)
    if default is None:
        return (batch or 1, *spec.shape)
    if len(spec.shape) == len(default.shape):
        return _whole(spec, batch)
    if len(spec.shape) == len(default.shape) - 1:
        return (batch or default.shape[0], *spec.shape)
    sample, whole = ("x".join(str(n) for n in shape) for shape in (default.shape[1:], default.shape))
    msg = f"the input {spec.text!r} does not fit {target.name}, which takes {sample} (one sample) or {whole}"
    raise InputError(msg)


def _whole(spec: Spec, batch: int | None) -> tuple[int, ...]:
    """Take a shape as whole, with *batch* for a first dimension of 1."""
    first, *rest = spec.shape
    if batch is None or first == batch:
        return spec.shape
    if first == 1:
        return (batch, *rest)
    msg = f"a batch of {batch} does not fit the input {spec.text!r}, whose first dimension is {first}"
    raise InputError(msg)


def _scaled(argument: Argument, batch: int | None) -> Argument:
    """Set the batch of a default."""
    if batch is None:
        return argument

    def scale(tensor: TensorInput) -> TensorInput:
        return replace(tensor, shape=(batch, *tensor.shape[1:])) if tensor.shape else tensor

    return replace(argument, value=tree_map_only(TensorInput, scale, argument.value))
