"""From the description of a random model to the model, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import nn

from random_models.leaves import LEAVES
from random_models.spec import Spec, draw
from random_models.tape import BATCH, Tape, Value
from random_models.wrappers import WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from random_models.spec import Kinds

#: What is drawn more often than other kinds.
_OFTEN = ("Linear", "Linear", "HandWritten")
#: What runs under autocast as it does elsewhere; in the place of other leaves there is a linear layer.
_UNDER_AUTOCAST = frozenset({"Linear", "Convolution", "Pointwise", "Squared", "Attention", "Shared", "Detached"})
_THREADS = frozenset({"OtherThread", "OnPool"})
_AROUND_AUTOCAST = frozenset({"Around", "Residual", "NoGrad", "Again", "AgainInside", "Twice", "Packed", "AutocastOff"})


@dataclass
class RandomModel:
    """A model, its input, and the MACs of each of its modules that computes itself, by phase and path."""

    spec: Spec
    model: nn.Module
    x: torch.Tensor
    train: bool
    macs: dict[tuple[str, str], int]


class Chain(nn.Sequential):
    """Parts, one after the other."""

    out: Value


def random_spec(seed: int, leaves: Kinds = (), wrappers: Kinds = (), depth: int = 4) -> Spec:
    """Draw the model of a seed, of all kinds or of some."""
    return draw(Random(seed), leaves or (*_OFTEN, *LEAVES), wrappers or tuple(WRAPPERS), depth)  # noqa: S311


def random_model(seed: int) -> RandomModel:
    """Build the model of a seed."""
    return build(random_spec(seed))


def build(spec: Spec, device: str = "cpu") -> RandomModel:
    """Build a model. Options that torch refuses where a part stands are left out of it."""
    with torch.device(device):
        return _build(spec)


def _build(spec: Spec) -> RandomModel:
    rng, tape = Random(spec.seed), Tape()  # noqa: S311
    torch.manual_seed(spec.seed)
    train, followed = rng.random() < 0.8, rng.random() < 0.7
    x = Value(rng.randint(1, 9), followed)
    model = _chain(tape, x, parts=spec.parts)
    train = train and model.out.requires_grad
    tensor = torch.randn(BATCH, x.width, requires_grad=followed)
    return RandomModel(spec, model, tensor, train, tape.costs(model.out, train=train))


def _chain(tape: Tape, x: Value, parts: Sequence[Spec]) -> Chain:
    modules = []
    for number, spec in enumerate(parts):
        tape.path.append(str(number))
        modules.append(_part(spec, tape, x))
        tape.path.pop()
        x = modules[-1].out
    chain = Chain(*modules)
    chain.out = x
    return chain


def _part(spec: Spec, tape: Tape, x: Value) -> nn.Module:
    rng = Random(spec.seed)  # noqa: S311
    if spec.kind in LEAVES:
        return LEAVES[_leaf(spec.kind, tape)](rng, tape, x)
    return WRAPPERS[_wrapper(spec.kind, tape, x)](rng, tape, x, partial(_chain, parts=spec.parts))


def _leaf(kind: str, tape: Tape) -> str:
    refused = (
        (kind == "Lazy" and not tape.lazy)
        or (kind == "Jagged" and tape.inference)
        or (kind not in _UNDER_AUTOCAST and tape.autocast)
    )
    return "Linear" if refused else kind


def _wrapper(kind: str, tape: Tape, x: Value) -> str:
    if tape.autocast and kind not in _AROUND_AUTOCAST:
        kind = "Around"
    if kind in {"AgainInside", "AgainByHand"} and not (x.requires_grad and tape.grad):
        kind = "Around"
    if kind in _THREADS and tape.regions:
        kind = "Residual"  # a checkpoint's hooks do not follow its body into another thread
    if kind == "InTask" and tape.in_task:
        kind = "Around"  # an event loop runs on this thread
    if kind == "AgainInside" and tape.by_hand:
        kind = "Again"  # torch's reentrant checkpoint refuses ``autograd.grad``
    if kind == "Inference" and tape.branch:
        kind = "NoGrad"  # torch compiles a branch, and leaves the mode on where that fails
    return kind
