"""Make the arguments of a module: its target's default inputs, changed by ``--input`` and ``--batch``."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError
from profiler.targets.given_inputs import arguments_of
from profiler.targets.input_file import FILE_MARK, is_input_file, read_input_file
from profiler.targets.input_specs import Spec, parse
from profiler.targets.input_tensors import TensorMaker, floating_dtype
from profiler.targets.signatures import ForwardSignature
from profiler.targets.target import Argument, TensorInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from profiler.targets.target import Target

_LARGEST_BATCH = 10**15
#: Endings of the names of integer inputs.
_INTEGER_NAMES = ("ids", "mask", "labels", "lengths")


def make_inputs(
    target: Target,
    module: nn.Module,
    specs: Sequence[str] = (),
    *,
    batch: int | None = None,
    device: torch.device | str = "meta",
    dtype: torch.dtype | str | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments for one call of *module*.

    On ``meta`` tensors have no values. On other devices floating-point tensors are standard normal from a fixed seed,
    masks are ones and other integer tensors are zero. The global random state is not touched.

    Args:
        target: What *module* was built from; it has the default inputs.
        module: The module to call. Its ``forward`` gives the argument names, its parameters the floating dtype.
        specs: Input specifications, ``[NAME=]SHAPE[:DTYPE]``, or ``@FILE`` for inputs that ``torch.save`` wrote, which
            replace the defaults. The first without a name replaces the first input, the
            second the second, and so on: with the shape of one sample, or the full shape if it has as many dimensions
            as the default. Other inputs keep their defaults.
        batch: First dimension of every input; None keeps that of the specification or the default. An input that has
            values is repeated if its own is 1.
        device: Where the tensors are.
        dtype: Dtype of floating-point inputs that have values; None keeps their own. Others have the module's.

    Raises:
        InputError: A specification cannot be read, or does not fit the module or the batch.

    Example:
        >>> from profiler.targets import build, resolve
        >>> target = resolve("resnet18")
        >>> (image,), _ = make_inputs(target, build(target), ["3x64x64"], batch=8)
        >>> tuple(image.shape)
        (8, 3, 64, 64)
    """
    if batch is not None and not 1 <= batch <= _LARGEST_BATCH:
        is_huge = abs(batch) > _LARGEST_BATCH
        msg = (
            "the batch size is beyond 10¹⁵; write less"
            if is_huge
            else f"the batch size is {batch}; it must be 1 or more"
        )
        raise InputError(msg)
    forward = ForwardSignature.of(target.name, module)
    target = _from_files(target, [text for text in specs if is_input_file(text)], forward)
    arguments = _apply([parse(text) for text in specs if not is_input_file(text)], target, forward, batch)
    maker = TensorMaker(device, floating_dtype(module), dtype)
    values = [(a.name, maker.make(a, name)) for a, name in zip(arguments, forward.names(arguments), strict=True)]
    args = tuple(value for name, value in values if name is None)
    kwargs = {name: value for name, value in values if name is not None}
    forward.check(args, kwargs)
    return args, kwargs


def dtype_from_name(name: str) -> str | None:
    """Return "int64" if inputs of this name hold integers by convention (``input_ids``); None for floating-point."""
    return "int64" if name.endswith(_INTEGER_NAMES) else None


def _from_files(target: Target, files: list[str], forward: ForwardSignature) -> Target:
    """Return *target* with the inputs of a file, if one is named."""
    if len(files) > 1:
        msg = f"{len(files)} input files are named; one file holds all inputs of a call"
        raise InputError(msg)
    if not files:
        return target
    value = read_input_file(Path(files[0].removeprefix(FILE_MARK)))
    return replace(target, inputs=arguments_of(value, forward))


def _apply(specs: list[Spec], target: Target, forward: ForwardSignature, batch: int | None) -> list[Argument]:
    """Replace the default inputs by those in *specs*; set the batch of the others."""
    arguments = list(target.inputs)
    replaced: dict[int, Argument] = {}
    positions = count()
    for spec in specs:
        at = next(positions) if spec.name is None else _index(spec.name, arguments, forward)
        if at in replaced or at > len(arguments):
            shape = spec.text.rpartition("=")[2]
            msg = f"the input {spec.text!r} sets an argument that is already set; write NAME={shape}, each name once"
            raise InputError(msg)
        if at == len(arguments):
            arguments.append(Argument(None, spec.name))
        replaced[at] = _argument(spec, arguments[at], forward.names(arguments)[at], target, batch)
    names = {arguments[i].name for i in replaced} - {None}
    return [
        replaced.get(i) or _with_batch(argument, batch)
        for i, argument in enumerate(arguments)
        if i in replaced or argument.comes_with not in names
    ]


def _index(name: str, arguments: list[Argument], forward: ForwardSignature) -> int:
    """Return the index of the argument called *name*; the end of the list if it has no default."""
    names = forward.names(arguments)
    if name in names:
        return names.index(name)
    forward.require(name)
    return len(arguments)


def _argument(spec: Spec, default: Argument, name: str, target: Target, batch: int | None) -> Argument:
    """Return *default* with the shape and dtype of *spec*."""
    tensor = _described(default.value)
    if tensor is not None and not isinstance(tensor, TensorInput):
        msg = f"the input {name!r} of {target.name} is not a tensor; only its default can be used"
        raise InputError(msg)
    shape = _shape(spec, tensor, target, batch)
    default_dtype = tensor.dtype if tensor is not None else dtype_from_name(name)
    return replace(default, value=TensorInput(shape, spec.dtype or default_dtype))


def _shape(spec: Spec, default: TensorInput | None, target: Target, batch: int | None) -> tuple[int, ...]:
    """Return the full shape, with the batch first."""
    if spec.name is not None:
        return _full_shape(spec, batch)
    if default is None:
        return (batch or 1, *spec.shape)
    if len(spec.shape) == len(default.shape):
        return _full_shape(spec, batch)
    if len(spec.shape) == len(default.shape) - 1:
        return (batch or default.shape[0], *spec.shape)
    sample, full = ("x".join(str(n) for n in shape) for shape in (default.shape[1:], default.shape))
    msg = f"the input {spec.text!r} does not fit {target.name}, which takes {sample} (one sample) or {full}"
    raise InputError(msg)


def _full_shape(spec: Spec, batch: int | None) -> tuple[int, ...]:
    """Return the shape as written, with *batch* in place of a first dimension of 1."""
    first, *rest = spec.shape
    if batch is None or first == batch:
        return spec.shape
    if first == 1:
        return (batch, *rest)
    msg = f"a batch of {batch} does not fit the input {spec.text!r}, whose first dimension is {first}"
    raise InputError(msg)


def _with_batch(argument: Argument, batch: int | None) -> Argument:
    """Return a default input with its first dimension replaced by *batch*."""
    if batch is None:
        return argument

    def resize(tensor: TensorInput | torch.Tensor) -> TensorInput | torch.Tensor:
        if not tensor.shape:
            return tensor
        if isinstance(tensor, TensorInput):
            return tensor.with_batch(batch)
        return _repeated(tensor, batch)

    return replace(argument, value=tree_map_only((TensorInput, torch.Tensor), resize, argument.value))


def _repeated(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    if tensor.shape[0] not in {1, batch}:
        msg = f"a batch of {batch} does not fit an input that has values, whose first dimension is {tensor.shape[0]}"
        raise InputError(msg)
    return tensor.expand(batch, *tensor.shape[1:])


def _described(value: Any) -> Any:
    """Return the shape and dtype of an input that is a tensor with values."""
    if not isinstance(value, torch.Tensor):
        return value
    return TensorInput(tuple(value.shape), str(value.dtype).removeprefix("torch."))
