"""The points of a sweep: every combination of a model with a batch size, an input and a dtype."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING

from profiler.errors import InputError, UnknownNameError
from profiler.escaping import quoted
from profiler.run.optimizers import optimizer_kind
from profiler.targets.build import floating_dtype
from profiler.targets.input_specs import parse
from profiler.targets.registry import list_targets, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

_WILDCARDS = frozenset("*?[")
#: Models of torchvision have no prefix of their own; in a pattern they may be given one.
_TORCHVISION = "torchvision:"
_SOURCES = ("torchvision", "timm", "hf")
_MAX_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One combination; it is counted in a process of its own."""

    target: str
    batch: int | None = None
    #: ``224`` for the size of an image or the length of a sequence, or an input specification; None for the default.
    input: str | None = None
    dtype: str | None = None
    #: Count a training step with this optimizer; "" for one without, None for a forward pass.
    optimizer: str | None = None


def sweep_points(
    patterns: Sequence[str],
    *,
    batches: Sequence[int] = (),
    inputs: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    optimizer: str | None = None,
) -> tuple[SweepPoint, ...]:
    """Return every combination, in the order of the models.

    Raises:
        UnknownNameError: There is no such model, or no such optimizer.
        InputError: A pattern matches no model, an input or a dtype is none of any model, or there are too many
            combinations.
    """
    targets = dict.fromkeys(name for pattern in patterns for name in matching_targets(pattern))
    count = len(targets) * max(1, len(batches)) * max(1, len(inputs)) * max(1, len(dtypes))
    if count > _MAX_POINTS:
        msg = f"the sweep has {count} combinations; at most {_MAX_POINTS} are run"
        raise InputError(msg)
    for text in inputs:
        parse(text)
    for name in dtypes:
        floating_dtype(name)
    if optimizer:
        optimizer_kind(optimizer)
    combinations = product(targets, batches or (None,), inputs or (None,), dtypes or (None,))
    return tuple(SweepPoint(name, batch, size, dtype, optimizer) for name, batch, size, dtype in combinations)


def matching_targets(pattern: str) -> list[str]:
    """Return the models that a pattern matches; a name without wildcards is that model.

    Example:
        >>> matching_targets("torchvision:resnet1?")
        ['resnet18']
    """
    is_torchvision, rest = pattern.startswith(_TORCHVISION), pattern.removeprefix(_TORCHVISION)
    if not _WILDCARDS & set(pattern):
        resolve(rest)
        return [rest]
    known = [name for name in list_targets() if ":" not in name or not is_torchvision]
    matched = [name for name in known if fnmatchcase(name, rest)]
    prefix, colon, _ = pattern.partition(":")
    if not matched and colon and prefix not in _SOURCES:
        kind = "source of models"
        raise UnknownNameError(kind, prefix, _SOURCES)
    if not matched:
        msg = f"no model matches {quoted(pattern)}; write a pattern such as 'torchvision:resnet*' or 'timm:vit*'"
        raise InputError(msg)
    return matched
