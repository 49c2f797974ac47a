"""What a module is called with: its target's default inputs, changed by ``--input`` and ``--batch``."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError, UnknownNameError
from profiler.targets.specs import Spec, parse
from profiler.targets.target import Argument, TensorInput

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    signature = _signature(module)
    arguments = _apply([parse(text) for text in specs], target, signature, batch)
    maker = _Maker(torch.device(device), _floating_dtype(module))
    names = _names(arguments, signature)
    made = [(argument.name, maker.make(argument, name)) for argument, name in zip(arguments, names, strict=True)]
    args = tuple(value for name, value in made if name is None)
    kwargs = {name: value for name, value in made if name is not None}
    _check_call(target, signature, args, kwargs)
    return args, kwargs


def _apply(
    specs: list[Spec], target: Target, signature: inspect.Signature | None, batch: int | None
) -> list[Argument]:
    """Put what was asked for in the place of the defaults, and scale the defaults that are left."""
    arguments = list(target.inputs)
    names = _names(arguments, signature)
    given: dict[int, Argument] = {}
    for i, spec in enumerate(specs):
        unnamed = sum(s.name is None for s in specs[:i])
        at = unnamed if spec.name is None else _place(spec.name, names, target, signature)
        if at in given or at > len(arguments):
            msg = f"the input {spec.text!r} has no place; write NAME={spec.text.rpartition('=')[2]}, each name once"
            raise InputError(msg)
        if at == len(arguments):
            arguments.append(Argument(None, spec.name))
            names.append(_names(arguments, signature)[-1])
        given[at] = _ask(spec, arguments[at], names[at], target, batch)
    return [given.get(i) or _scaled(argument, batch) for i, argument in enumerate(arguments)]


def _place(name: str, names: list[str], target: Target, signature: inspect.Signature | None) -> int:
    """Find the argument of a name, or the place for one that has no default."""
    if name in names:
        return names.index(name)
    parameters = signature.parameters.values() if signature is not None else ()
    known = [p.name for p in parameters if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    takes_any = signature is None or any(p.kind == p.VAR_KEYWORD for p in parameters)
    if name not in known and not takes_any:
        raise InputError(str(UnknownNameError(f"input of {target.name}", name, known)))
    return len(names)


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
    rank = len(spec.shape)
    is_sample = spec.name is None and (default is None or rank == len(default.shape) - 1)
    if is_sample:
        return (batch or (default.shape[0] if default is not None else 1), *spec.shape)
    if spec.name is None and default is not None and rank != len(default.shape):
        sample, whole = _text(default.shape[1:]), _text(default.shape)
        msg = f"the input {spec.text!r} has {rank} dimensions; {target.name} takes {sample} (one sample) or {whole}"
        raise InputError(msg)
    if batch is None or spec.shape[0] == batch:
        return spec.shape
    if spec.shape[0] == 1:
        return (batch, *spec.shape[1:])
    msg = f"a batch of {batch} does not fit the input {spec.text!r}, whose first dimension is {spec.shape[0]}"
    raise InputError(msg)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def _scaled(argument: Argument, batch: int | None) -> Argument:
    """Set the batch of a default."""
    if batch is None:
        return argument

    def scale(tensor: TensorInput) -> TensorInput:
        return replace(tensor, shape=(batch, *tensor.shape[1:])) if tensor.shape else tensor

    return replace(argument, value=tree_map_only(TensorInput, scale, argument.value))


def _signature(module: nn.Module) -> inspect.Signature | None:
    try:
        return inspect.signature(module.forward)
    except (TypeError, ValueError):  # written in C++
        return None


def _names(arguments: Sequence[Argument], signature: inspect.Signature | None) -> list[str]:
    """Name every argument: a positional one by the parameter that it is for, where that is known."""
    parameters = list(signature.parameters) if signature is not None else []
    parameters += [f"input{i}" for i in range(len(parameters), len(arguments))]
    return [parameter if argument.name is None else argument.name
            for argument, parameter in zip(arguments, parameters, strict=False)]


def _check_call(
    target: Target, signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Refuse a call that Python would refuse, before the model runs."""
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        if not args and not kwargs:
            required = ", ".join(p.name for p in signature.parameters.values() if p.default is p.empty)
            msg = f"{target.name} has no default input (it takes {required}); say it with --input, such as 3x224x224"
        else:
            msg = f"{target.name} cannot be called so: {error}; give it with --input NAME=SHAPE"
        raise InputError(msg) from error


def _floating_dtype(module: nn.Module) -> torch.dtype:
    """Give the dtype of the first floating parameter; float32 where there is none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


class _Maker:
    """Makes tensors; floating values come from a generator of its own, so that the global random state stays."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._generator = torch.Generator().manual_seed(0)

    def make(self, argument: Argument, name: str) -> Any:
        made = tree_map_only(TensorInput, lambda tensor: self._tensor(tensor, name), argument.value)
        return list(made) if argument.as_list else made

    def _tensor(self, tensor: TensorInput, name: str) -> torch.Tensor:
        dtype = self._dtype if tensor.dtype is None else getattr(torch, tensor.dtype)
        if self._device.type == "meta":
            return torch.empty(tensor.shape, dtype=dtype, device="meta")
        return self._values(tensor.shape, dtype, name).to(self._device)

    def _values(self, shape: tuple[int, ...], dtype: torch.dtype, name: str) -> torch.Tensor:
        """Make values on the CPU, so that they are the same on every device."""
        if name.endswith("mask"):
            return torch.ones(shape, dtype=dtype)
        if dtype.is_complex:
            return torch.randn(shape, dtype=torch.complex64, generator=self._generator).to(dtype)
        if dtype.is_floating_point:
            return torch.randn(shape, generator=self._generator).to(dtype)
        return torch.zeros(shape, dtype=dtype)
