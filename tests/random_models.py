"""Random models, and what a training step of each costs in closed form, by phase and module.

A model is a tree of parts: plain layers, custom functions, tensor subclasses and nested tensors; checkpoints of three
kinds, threads, pools, tasks, conditions and functional calls around them; parts that run twice. While it is built, each
part writes what it computes on a tape: its values, and the products of its forward pass and of its two gradients. The
costs are read from the tape by a small reverse pass of its own, which shares no code with the counter: it knows nothing
of torch's operators.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from random import Random

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._pytree import tree_map_only
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

BATCH = 3


@dataclass
class Value:
    """The result of a part: how many columns it has, and whether autograd follows it."""

    width: int
    requires_grad: bool
    number: int = field(default_factory=count().__next__)


@dataclass
class Region:
    """The body of a checkpoint: backward runs all of it again.

    A reentrant one if its result is reached; another if a tensor is needed that the body saved.
    """

    active: bool = True
    out: Value | None = None


@dataclass
class Op:
    """A call of a part: what it computes in forward, for the gradient of its weight, and for that of its input."""

    path: str
    inputs: list[Value]
    output: Value
    macs: int
    trained: bool
    saves: bool
    regions: tuple[Region, ...]


class Tape:
    """The calls of a model in order, and the cost of a step over them."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        #: The path of the part that is being built, the checkpoints around it, and whether autograd is on.
        self.path: list[str] = []
        self.regions: list[Region] = []
        self.grad = True
        self.by_hand = self.in_task = False
        #: Whether a parameter may be made in the first forward: not where the parts around read the parameters before.
        self.lazy = True

    def call(
        self, inputs: list[Value], width: int, macs: int = 0, *, trained: bool = False, cut: bool = False,
        saves: bool = True,
    ) -> Value:  # fmt: skip
        """Write a call, and return its value."""
        follows = self.grad and not cut and (trained or any(value.requires_grad for value in inputs))
        output = Value(width, follows)
        self.ops.append(Op(".".join(self.path), inputs, output, macs, trained, saves, tuple(self.regions)))
        return output

    def costs(self, result: Value, *, train: bool) -> dict[tuple[str, str], int]:
        """Return the MACs by phase and path; with *train* those of the gradients, and of what checkpoints run again."""
        reached = self.reached(result) if train else set()
        again = {id(region) for op in self.ops for region in op.regions if _runs_again(region, op, reached)}
        costs: dict[tuple[str, str], int] = {}
        for op in self.ops:
            reruns = sum(region.active and id(region) in again for region in op.regions)
            gradients = op.trained + sum(value.requires_grad for value in op.inputs)
            times = {"forward": 1, "recompute": reruns, "backward": gradients if op.output.number in reached else 0}
            for phase, number in times.items():
                costs[phase, op.path] = costs.get((phase, op.path), 0) + number * op.macs
        return {place: macs for place, macs in costs.items() if macs}

    def repeat(self, start: int, out: Value) -> Value:
        """Write the calls since *start* once more, and return what *out* is then: the same modules run again."""
        values: dict[int, Value] = {}
        regions = {id(region): region for region in self.regions}
        for op in self.ops[start:]:
            for region in op.regions:
                regions.setdefault(id(region), Region(region.active, region.out))
            inputs = [values.get(value.number, value) for value in op.inputs]
            values[op.output.number] = output = Value(op.output.width, op.output.requires_grad)
            inside = tuple(regions[id(region)] for region in op.regions)
            self.ops.append(Op(op.path, inputs, output, op.macs, op.trained, op.saves, inside))
        for region in regions.values():
            if region.out is not None and region not in self.regions:
                region.out = values.get(region.out.number, region.out)
        return values.get(out.number, out)

    def reached(self, result: Value) -> set[int]:
        """Return the values that backward comes to from *result*."""
        reached = {result.number} if result.requires_grad else set()
        for op in reversed(self.ops):
            if op.output.number in reached:
                reached |= {value.number for value in op.inputs if value.requires_grad}
        return reached


def _runs_again(region: Region, op: Op, reached: set[int]) -> bool:
    if region.out is not None:
        return region.out.number in reached
    return op.saves and op.output.number in reached


class Linear(nn.Linear):
    """A linear layer whose weight may be frozen."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        width, self.trained = rng.randint(1, 9), rng.random() < 0.7
        super().__init__(x.width, width, bias=rng.random() < 0.5)
        self.requires_grad_(self.trained)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=self.trained)


class ByHand(torch.autograd.Function):
    """A product whose gradients are written by hand."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = gradient @ weight.t() if ctx.needs_input_grad[0] else None
        of_weight = x.t() @ gradient if ctx.needs_input_grad[1] else None
        return of_x, of_weight


class WithSetup(torch.autograd.Function):
    """The same, in the style that takes its context apart."""

    @staticmethod
    def forward(x, weight):
        return x @ weight

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    backward = ByHand.backward


class ManyOutputs(torch.autograd.Function):
    """The same, with an output that has no gradient, and one that is no tensor."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        largest = x.argmax(1)
        ctx.mark_non_differentiable(largest)
        return x @ weight, largest, "text"

    @staticmethod
    def backward(ctx, gradient, *_):
        return ByHand.backward(ctx, gradient)


class Applies(torch.autograd.Function):
    """The same, by a function inside of a function."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return ByHand.apply(x, weight)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        of_x = ByHand.apply(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = WithSetup.apply(x.t(), gradient) if ctx.needs_input_grad[1] else None
        return of_x, of_weight


FUNCTIONS = (ByHand.apply, WithSetup.apply, lambda x, weight: ManyOutputs.apply(x, weight)[0], Applies.apply)


class HandWritten(nn.Module):
    """A module that calls a custom ``autograd.Function``."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.function = rng.choice(FUNCTIONS)
        self.weight = nn.Parameter(torch.randn(x.width, width), requires_grad=trained)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)

    def forward(self, x):
        return self.function(x, self.weight)


class HandWrittenAgain(nn.Module):
    """A checkpoint whose body is a custom function, without a module around it."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width, trained = rng.randint(1, 9), rng.random() < 0.7
        self.function = rng.choice(FUNCTIONS)
        self.reentrant = rng.random() < 0.5 and not tape.by_hand  # torch's refuses ``autograd.grad``
        self.weight = nn.Parameter(torch.randn(x.width, width), requires_grad=trained)
        region = Region()
        tape.regions.append(region)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=trained)
        tape.regions.pop()
        region.out = self.out if self.reentrant else None
        self.is_followed = self.out.requires_grad

    def forward(self, x):
        if self.reentrant and not self.is_followed:
            return self.function(x, self.weight)  # torch warns of such a one
        with set_checkpoint_early_stop(False):
            return checkpoint(self.function, x, self.weight, use_reentrant=self.reentrant)


class Inside(torch.Tensor):
    """A tensor that holds another one, as quantized weights do, and runs every operator on what it holds."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    def __tensor_flatten__(self):
        return ["inner"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, _meta, _size, _stride):
        return cls(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        args, kwargs = tree_map_only(cls, lambda tensor: tensor.inner, (args, kwargs or {}))
        result = func(*args, **kwargs)
        return cls(result) if func is torch.ops.aten.detach.default else result


class Quantized(Inside):
    """A tensor that holds integers and scales, in two tensors."""

    @staticmethod
    def __new__(cls, inner, scale):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=scale.dtype)

    def __init__(self, inner, scale):
        super().__init__(inner)
        self.scale = scale

    def __tensor_flatten__(self):
        return ["inner", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner, _meta, _size, _stride):
        return cls(inner["inner"], inner["scale"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].inner, args[0].scale)
        args, kwargs = tree_map_only(cls, lambda tensor: tensor.inner * tensor.scale, (args, kwargs or {}))
        return func(*args, **kwargs)


class Wrapped(nn.Module):
    """A linear layer whose frozen weight is a tensor subclass."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        width = rng.randint(1, 9)
        plain = torch.randn(x.width, width)
        weight = Inside(plain) if rng.random() < 0.5 else Quantized(plain.to(torch.int8), plain[:1].clone())
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.out = tape.call([x], width, BATCH * x.width * width)

    def forward(self, x):
        return torch.mm(x, self.weight)


class Over(nn.Module):
    """A linear layer at the path ``layer``, called in a way of its own."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        tape.path.append("layer")
        self.layer = Linear(rng, tape, x)
        tape.path.pop()
        self.out = self.layer.out


class Jagged(Over):
    """A linear layer over a nested tensor of two sequences."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__(rng, tape, x)
        self.offsets = torch.tensor([0, 1, BATCH])  # the same in a rerun, or its lengths are taken for others

    def forward(self, x):
        return self.layer(torch.nested.nested_tensor_from_jagged(x, self.offsets)).values()


class Vmapped(Over):
    """A linear layer over one row at a time."""

    def forward(self, x):
        return torch.vmap(self.layer)(x)


class Lazy(nn.LazyLinear):
    """A linear layer whose weight is made in its first forward."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        width = rng.randint(1, 9)
        super().__init__(width)
        self.out = tape.call([x], width, BATCH * x.width * width, trained=True)


class Convolution(nn.Module):
    """A convolution over the columns as a line of one channel."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        channels, trained = rng.randint(1, 3), rng.random() < 0.7
        self.layer = nn.Conv1d(1, channels, 3, padding=1, bias=rng.random() < 0.5).requires_grad_(trained)
        tape.path.append("layer")
        self.out = tape.call([x], x.width * channels, BATCH * x.width * channels * 3, trained=trained)
        tape.path.pop()

    def forward(self, x):
        return self.layer(x[:, None]).flatten(1)


class Pointwise(nn.Module):
    """Arithmetic without products: an activation, in place or not, a norm, or dropout."""

    def __init__(self, rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        kinds = [nn.ReLU(), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(x.width, elementwise_affine=False), nn.SiLU()]
        self.layer = rng.choice(kinds)
        self.out = tape.call([x], x.width)

    def forward(self, x):
        return self.layer(x * 1)


class Squared(nn.Module):
    """The product of the rows with themselves: a product of two followed operands."""

    def __init__(self, _rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        self.out = tape.call([x, x], BATCH, BATCH * x.width * BATCH)

    def forward(self, x):
        return x @ x.t()


class Detached(nn.Module):
    """A cut in the graph."""

    def __init__(self, _rng: Random, tape: Tape, x: Value) -> None:
        super().__init__()
        self.out = tape.call([x], x.width, cut=True)

    def forward(self, x):
        return x.detach() * 1


LEAVES = (
    Linear, Linear, HandWritten, HandWritten, HandWrittenAgain, Wrapped, Jagged, Vmapped, Lazy, Convolution, Pointwise,
    Squared,
)  # fmt: skip


class Around(nn.Module):
    """A module around a part, at the path ``body``."""

    def __init__(self, rng: Random, tape: Tape, x: Value, depth: int) -> None:
        super().__init__()
        self.body = self.part(rng, tape, x, depth)
        self.out = self.body.out

    def part(self, rng, tape, x, depth):
        """Build the part."""
        tape.path.append("body")
        body = chain(rng, tape, x, depth - 1)
        tape.path.pop()
        return body

    def forward(self, x):
        return self.body(x)


class Residual(Around):
    """``x`` beside what the body makes of it."""

    def __init__(self, rng: Random, tape: Tape, x: Value, depth: int) -> None:
        super().__init__(rng, tape, x, depth)
        self.out = tape.call([x, self.body.out], x.width + self.body.out.width, saves=False)

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


class NoGrad(Around):
    """A body without autograd."""

    def part(self, rng, tape, x, depth):
        before, tape.grad = tape.grad, False
        body = super().part(rng, tape, x, depth)
        tape.grad = before
        return body

    def forward(self, x):
        with torch.no_grad():
            return self.body(x)


class Again(Around):
    """A body that a checkpoint runs again in backward."""

    reentrant = False

    def part(self, rng, tape, x, depth):
        tape.regions.append(Region())
        body = super().part(rng, tape, x, depth)
        self.region = tape.regions.pop()
        # the input of a reentrant checkpoint has a gradient, if only of zeros, also where its body cuts the graph
        self.region.active = not self.reentrant or x.number in tape.reached(body.out)
        self.region.out = body.out if self.reentrant else None
        return body

    def forward(self, x):
        with set_checkpoint_early_stop(False):
            return checkpoint(self.body, x, use_reentrant=self.reentrant) if self.region.active else self.body(x)


class AgainInside(Again):
    """The same by the reentrant checkpoint."""

    reentrant = True


class Rerun(torch.autograd.Function):
    """A checkpoint by hand: forward without autograd, and once more in backward."""

    @staticmethod
    def forward(ctx, body, x, *parameters):
        ctx.body, ctx.parameters = body, parameters
        ctx.save_for_backward(x)
        with torch.no_grad():
            return body(x)

    @staticmethod
    def backward(ctx, gradient):
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            result = ctx.body(x)
        wanted = [x, *(parameter for parameter in ctx.parameters if parameter.requires_grad)]
        of_x, *rest = torch.autograd.grad(result, wanted, gradient, allow_unused=True)
        gradients = iter(rest)
        return None, of_x, *(next(gradients) if p.requires_grad else None for p in ctx.parameters)


class AgainByHand(Again):
    """The same by a custom ``autograd.Function``."""

    reentrant = True

    def part(self, rng, tape, x, depth):
        before, tape.by_hand, tape.lazy = (tape.by_hand, tape.lazy), True, False
        body = super().part(rng, tape, x, depth)
        tape.by_hand, tape.lazy = before
        return body

    def forward(self, x):
        return Rerun.apply(self.body, x, *self.body.parameters()) if self.region.active else self.body(x)


class OtherThread(Around):
    """A body that runs in a thread of its own."""

    def forward(self, x):
        results, grad = [], torch.is_grad_enabled()

        def run() -> None:
            with torch.set_grad_enabled(grad):
                results.append(self.body(x))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return results[0]


class OnPool(Around):
    """A body that runs on a thread of a pool."""

    def forward(self, x):
        grad = torch.is_grad_enabled()

        def run():
            with torch.set_grad_enabled(grad):
                return self.body(x)

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()


class InTask(Around):
    """A body that runs in a task, among others."""

    def part(self, rng, tape, x, depth):
        before, tape.in_task = tape.in_task, True
        body = super().part(rng, tape, x, depth)
        tape.in_task = before
        return body

    def forward(self, x):
        async def one(body):
            await asyncio.sleep(0)
            return body(x)

        async def both():
            return await asyncio.gather(one(self.body), one(torch.neg))

        return asyncio.run(both())[0]


class Chosen(Around):
    """The branch of a condition."""

    def forward(self, x):
        return torch.cond(torch.tensor(True), self.body, torch.neg, (x,))


class Twice(Around):
    """A body that runs twice."""

    def __init__(self, rng: Random, tape: Tape, x: Value, depth: int) -> None:
        start = len(tape.ops)
        super().__init__(rng, tape, x, depth)
        again = tape.repeat(start, self.body.out)
        self.out = tape.call([self.body.out, again], 2 * again.width, saves=False)

    def forward(self, x):
        return torch.cat([self.body(x), self.body(x)], 1)


class Functional(Around):
    """A body that runs on a copy of its parameters' values."""

    def part(self, rng, tape, x, depth):
        before, tape.lazy = tape.lazy, False
        body = super().part(rng, tape, x, depth)
        tape.lazy = before
        return body

    def forward(self, x):
        return functional_call(self.body, dict(self.body.named_parameters()), (x,))


class Autocast(Around):
    """A body under autocast."""

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=False):
            return self.body(x)


#: Parts around a part; reentrant checkpoints need an input that autograd follows.
WRAPPERS = (
    Around, Residual, NoGrad, Again, AgainInside, AgainByHand, OtherThread, OnPool, InTask, Chosen, Twice, Functional,
    Autocast,
)  # fmt: skip


class Chain(nn.Sequential):
    """Parts, one after the other."""

    out: Value


def chain(rng: Random, tape: Tape, x: Value, depth: int) -> Chain:
    """Build one to three parts in a row."""
    parts = []
    for number in range(rng.randint(1, 3)):
        tape.path.append(str(number))
        parts.append(part(rng, tape, x, depth))
        tape.path.pop()
        x = parts[-1].out
    result = Chain(*parts)
    result.out = x
    return result


def part(rng: Random, tape: Tape, x: Value, depth: int) -> nn.Module:
    """Build a leaf, or a wrapper around a chain."""
    if depth <= 0 or rng.random() < 0.4:
        leaf = Detached if rng.random() < 0.05 else rng.choice(LEAVES)
        return (Linear if leaf is Lazy and not tape.lazy else leaf)(rng, tape, x)
    kind = rng.choice(WRAPPERS)
    if kind in (AgainInside, AgainByHand) and not (x.requires_grad and tape.grad):
        kind = Around
    if kind in (OtherThread, OnPool) and tape.regions:
        kind = Residual  # a checkpoint's hooks do not follow its body into another thread
    if kind is InTask and tape.in_task:
        kind = Around  # an event loop runs on this thread
    if kind is AgainInside and tape.by_hand:
        kind = Again  # torch's reentrant checkpoint refuses ``autograd.grad``
    return kind(rng, tape, x, depth)


@dataclass
class RandomModel:
    """A model, its input, and the MACs of each of its modules that computes itself, by phase and path."""

    seed: int
    model: nn.Module
    x: torch.Tensor
    train: bool
    macs: dict[tuple[str, str], int]


def random_model(seed: int) -> RandomModel:
    """Build the model of a seed."""
    rng, tape = Random(seed), Tape()  # noqa: S311
    torch.manual_seed(seed)
    train, followed = rng.random() < 0.8, rng.random() < 0.7
    x = Value(rng.randint(1, 9), followed)
    model = chain(rng, tape, x, depth=4)
    train = train and model.out.requires_grad
    tensor = torch.randn(BATCH, x.width, requires_grad=followed)
    return RandomModel(seed, model, tensor, train, tape.costs(model.out, train=train))
