"""A model with another number of its repeated blocks, from whose figures those of the whole model are extended."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from torch import nn

from profiler.errors import InputError
from profiler.run.step_options import repeated_blocks
from profiler.targets import build_called, resolve
from profiler.worlds.divide import styles_for
from profiler.worlds.experts import expert_layers
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Container

    from profiler.targets import Target
    from profiler.worlds.division import Division
    from profiler.worlds.step import Step


@dataclass(frozen=True, slots=True)
class Stack:
    """The repeated blocks of a model, which are all in one container."""

    #: The paths of the blocks, in order.
    paths: tuple[str, ...]
    #: What the stages of a pipeline divide: the blocks, and of an ``nn.Sequential`` its other children too.
    units: int

    @property
    def others(self) -> int:
        """The units that are no blocks."""
        return self.units - len(self.paths)


def stack_of(target: str, dtype: str | None) -> Stack:
    """Return the repeated blocks of a model.

    Raises:
        InputError: It has none, they are in several containers, or they are not all alike.
    """
    model, _ = _whole(target, dtype)
    blocks = list(repeated_blocks(model))
    paths = tuple(path for path, _ in blocks)
    containers = {path.rpartition(".")[0] for path in paths}
    if len(containers) != 1:
        msg = f"{target} has repeated blocks in {len(containers)} containers; its figures extend over one stack alone"
        raise InputError(msg)
    if len({_form(block) for _, block in blocks}) > 1:
        msg = f"the blocks of {target} differ from each other, so that its figures are not linear in their number"
        raise InputError(msg)
    return Stack(paths, len(model) if isinstance(model, nn.Sequential) else len(paths))


def _form(block: nn.Module) -> tuple[object, ...]:
    """Return the type of a block, and the names, shapes and dtypes of its parameters."""
    return type(block), *((name, p.shape, p.dtype) for name, p in block.named_parameters())


@lru_cache(maxsize=1)
def _whole(target: str, dtype: str | None) -> tuple[nn.Module, Target]:
    """Return the whole model on meta; the same one each time, for copies to be made of."""
    return build_called(resolve(target), device="meta", dtype=dtype)


@lru_cache(maxsize=16)
def _with_blocks(target: str, dtype: str | None, blocks: int) -> tuple[nn.Module, Target]:
    """Return the model with its first blocks alone, or with copies of its last one; for copies to be made of."""
    whole, called = _whole(target, dtype)
    paths = stack_of(target, dtype).paths
    memo: dict[int, Any] = {id(whole.get_submodule(path)): nn.Identity() for path in paths[blocks:]}
    model = deepcopy(whole, memo)
    container = model.get_submodule(paths[0].rpartition(".")[0])
    names = [path.rpartition(".")[2] for path in paths]
    children = dict(container._modules)
    container._modules.clear()
    for name, child in children.items():
        if name not in names[blocks:]:
            container._modules[name] = child
        for number in range(len(names), blocks) if name == names[-1] else ():
            container._modules[_unused(str(number), children)] = deepcopy(child)
    config = getattr(model, "config", None)
    if hasattr(config, "num_hidden_layers"):
        config.num_hidden_layers = blocks  # type: ignore[union-attr] # of transformers: how many of them it runs
    return model, called


def _unused(name: str, names: Container[str]) -> str:
    return f"{name}_" if name in names else name


def longest_sequence(target: str, dtype: str | None) -> int | None:
    """Return the most tokens that a model takes, as its configuration says; None if it does not."""
    model, _ = _whole(target, dtype)
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    return most if isinstance(most, int) and most > 0 else None


def divides_evenly(step: Step, division: Division, shards: int) -> bool:
    """Return whether the first dimension of every parameter divides over so many *shards*, after the axis tp.

    Raises:
        InputError: The layers do not divide over the axis tp, or no plan is known.
    """
    model, _ = _whole(step.target, step.dtype)
    mesh, ep = division.mesh, division.expert_parallel
    tp = mesh.size("tp")
    styles = styles_for(model, ParallelPlan(mesh, "fsdp", microbatches=mesh.size("pp"), expert_parallel=ep))
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0]
        is_rowwise = isinstance(model.get_submodule(module), nn.Embedding)
        wanted = find("RowwiseParallel" if is_rowwise else "ColwiseParallel")
        divided = tp if isinstance(styles.get(module), wanted) else 1
        if not parameter.dim() or parameter.shape[0] % (shards * divided):
            return False
    return True


def experts_of(target: str, dtype: str | None) -> int:
    """Return the experts of each layer of experts; 1 if a model has none, or layers with different numbers of them."""
    counts = {layer.num_experts for layer in expert_layers(_whole(target, dtype)[0]).values()}
    return counts.pop() if len(counts) == 1 else 1


def block_paths(target: str, dtype: str | None, blocks: int) -> tuple[str, ...]:
    """Return the paths of the blocks of the model with so many."""
    return tuple(path for path, _ in repeated_blocks(_with_blocks(target, dtype, blocks)[0]))


def build_shortened(target: str, dtype: str | None, blocks: int) -> tuple[nn.Module, Target]:
    """Return a new model on meta with so many of its blocks, and what it is called with.

    Raises:
        InputError: As for `stack_of`.
    """
    model, called = _with_blocks(target, dtype, blocks)
    return deepcopy(model), called
