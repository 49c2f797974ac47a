"""Options of a training step: its optimizer, frozen parameters and activation checkpointing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from profiler.errors import InputError
from profiler.run.allocator import with_allocator_peak
from profiler.run.lora import Lora, add_lora
from profiler.run.optimizers import make_optimizer
from profiler.run.selective_checkpoint import selective_contexts
from profiler.run.training_step import count_step, run_step
from profiler.trace.module_paths import parameters_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch.optim import Optimizer

    from profiler.run.selective_checkpoint import Checkpointing
    from profiler.tally import Profile


@dataclass(frozen=True, slots=True)
class StepOptions:
    """A training step as the command line describes it; calling it counts that step of a model."""

    #: Name of an optimizer in ``torch.optim``, in any case; None for no optimizer step.
    optimizer: str | None = None
    #: Run the top-level blocks under activation checkpointing.
    checkpoint: bool = False
    #: Patterns of the names of parameters to freeze.
    freeze: tuple[str, ...] = ()
    #: Freeze the model, and train adapters of some layers.
    lora: Lora | None = None
    #: Keep the states of adam or adamw in 8 bits; on ``meta`` alone.
    eight_bit: bool = False

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        """Put *model* in train mode, apply the options, and count one step; on CUDA also measure the allocator's peak.

        Raises:
            InputError: A pattern matches no parameter, or the model has no blocks to checkpoint.
            UnknownNameError: ``torch.optim`` has no such optimizer.
            ModelError: The model raised.
        """
        model.train()
        if self.lora is not None:
            add_lora(model, self.lora)
            model.train()
        freeze(model, self.freeze)
        optimizer = self._optimizer(model)
        with ExitStack() as stack:
            if self.checkpoint:
                stack.enter_context(checkpointed(model))
            profile = count_step(model, *args, optimizer=optimizer, **kwargs)
            return with_allocator_peak(profile, partial(run_step, model, args, kwargs, optimizer=optimizer))

    def _optimizer(self, model: nn.Module) -> Optimizer | None:
        if self.eight_bit:
            from profiler.run.eight_bit_adam import EightBitAdam  # noqa: PLC0415 - registers an operator

            return EightBitAdam(p for p in parameters_of(model) if p.requires_grad)
        return None if self.optimizer is None else make_optimizer(self.optimizer, model)


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Set ``requires_grad`` to False for the parameters whose names match one of *patterns*, as in ``features.*``.

    Raises:
        InputError: A pattern matches no parameter.
    """
    for pattern in patterns:
        matched = [p for name, p in model.named_parameters() if fnmatchcase(name, pattern)]
        if not matched:
            names = [name for name, _ in model.named_parameters()]
            msg = f"--freeze {pattern!r} matches no parameter; the model has for example {', '.join(names[:3])}"
            raise InputError(msg)
        for parameter in matched:
            parameter.requires_grad_(False)


@contextmanager
def checkpointed(
    model: nn.Module,
    blocks: Iterable[nn.Module] | None = None,
    *,
    how: Checkpointing = True,
    recompute_in: AbstractContextManager[object] | None = None,
) -> Iterator[list[str]]:
    """Run the top-level blocks of *model* under activation checkpointing in the block; yield their paths.

    A block is a layer of a transformer or a residual block of a ResNet: a child of an outermost ``ModuleList`` or
    ``Sequential`` that contains several non-leaf modules of that class. Checkpointing is not reentrant.

    Args:
        model: The model.
        blocks: The blocks; None for those described above.
        how: True to run everything again; "selective" to keep what is costly.
        recompute_in: Entered around what a backward pass runs again. A ``TorchFunctionMode`` of the forward pass has to
            be given here: torch turns it off while it handles ``Tensor.backward`` itself.

    Raises:
        InputError: The model has no such blocks.
    """
    named = {module: path for path, module in model.named_modules()}
    chosen = [block for _, block in repeated_blocks(model)] if blocks is None else list(blocks)
    if not chosen:
        msg = "no blocks to checkpoint: no ModuleList or Sequential contains several non-leaf modules of one class"
        raise InputError(msg)
    contexts = partial(_contexts, how, recompute_in or nullcontext())
    with ExitStack() as stack:
        for block in chosen:
            block.__dict__["forward"] = partial(checkpoint, block.forward, use_reentrant=False, context_fn=contexts)
            stack.callback(block.__dict__.pop, "forward")
        yield [named[block] for block in chosen]


def _contexts(
    how: Checkpointing, recompute_in: AbstractContextManager[object]
) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Return the contexts of the forward pass of one block, and of its recomputation."""
    first, again = selective_contexts() if how == "selective" else (nullcontext(), nullcontext())
    return first, _both(recompute_in, again)


@contextmanager
def _both(outer: AbstractContextManager[object], inner: AbstractContextManager[object]) -> Iterator[None]:
    with outer, inner:
        yield


def repeated_blocks(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the path and module of every block below *module*; blocks inside a block are not searched."""
    children = dict(module.named_children())
    kinds = [type(child) for child in children.values() if any(True for _ in child.children())]
    repeated = isinstance(module, (nn.ModuleList, nn.Sequential)) and len(kinds) > len(set(kinds))
    for name, child in children.items():
        inner = f"{path}.{name}" if path else name
        if repeated and kinds.count(type(child)) > 1:
            yield inner, child
        else:
            yield from repeated_blocks(child, inner)
