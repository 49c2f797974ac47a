"""Plans of tensor parallelism: transformers' own, or one of the user's; checked before they are applied."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import nn

from profiler.errors import InputError, one_line
from profiler.escaping import quoted
from profiler.targets.sources.factory import load_attribute
from profiler.worlds.plan import AUTO
from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.worlds.plan import ParallelPlan

_OWN = "give a plan of your own with --tp-plan FILE.py:NAME"
#: Styles of transformers that keep a module whole on every rank.
_WHOLE = frozenset({"replicate", "replicated_with_grad_allreduce"})
#: Its style of a layer of experts, of which each rank has a part of every expert.
_EXPERTS = frozenset({"moe_tp_experts"})
#: What must divide by the size of the axis: settings of a configuration of transformers.
_DIVIDED_SETTINGS = ("num_attention_heads", "num_key_value_heads")

#: The styles by the path of their module.
Styles = dict[str, Any]


def tensor_styles(model: nn.Module, plan: ParallelPlan) -> Styles:
    """Return the style of each module that the plan divides over the axis tp.

    Raises:
        InputError: There is no plan for this model, it names no module of it, it asks for what cannot be traced, or the
            heads or features of a layer do not divide.
    """
    tp = plan.mesh.size("tp")
    name = plan.tp_plan or AUTO
    patterns = _automatic(model, plan) if name == AUTO else _from_file(name)
    _check_heads(model, tp)
    styles = _by_module(model, patterns, name)
    for path, style in styles.items():
        _check_divides(path, model.get_submodule(path), style, tp)
    return styles


def _automatic(model: nn.Module, parallel: ParallelPlan) -> Styles:
    """Return the plan that transformers has for a model, with styles of torch; without experts that are divided."""
    plan = getattr(model, "_tp_plan", None)
    left_out = _WHOLE | (_EXPERTS if parallel.expert_parallel > 1 else frozenset())
    if not plan:
        msg = f"no tensor-parallel plan is known for {type(model).__name__}; {_OWN}"
        raise InputError(msg)
    return {pattern: _style(pattern, name) for pattern, name in plan.items() if name not in left_out}


def _style(pattern: str, name: str) -> Any:
    """Return the style of torch that divides a layer as transformers' style *name* does."""
    colwise, rowwise, whole = find("ColwiseParallel"), find("RowwiseParallel"), find("Replicate")()
    styles = {
        "colwise": colwise,
        "packed_colwise": colwise,
        "embedding_colwise": colwise,
        "rowwise": rowwise,
        "packed_rowwise": rowwise,
    }
    if name in styles:
        return styles[name]()
    if name in {"colwise_gather_output", "colwise_rep"}:
        return colwise(output_layouts=whole)
    if name in {"embedding_rowwise", "rowwise_split_input", "rowwise_rep"}:
        return rowwise(input_layouts=whole)
    other = "add --expert-parallel" if name in _EXPERTS else _OWN
    msg = f"transformers divides {pattern} by {quoted(name)}, which cannot be traced as layers of torch; {other}"
    raise InputError(msg)


def _from_file(name: str) -> Styles:
    """Return the plan in a Python file: a mapping from patterns of module paths to styles, or a function that makes it.

    Raises:
        InputError: There is no such mapping, or it holds something else.
    """
    value = load_attribute(name)
    try:
        plan = value() if callable(value) and not isinstance(value, Mapping) else value
    except Exception as error:
        msg = f"--tp-plan {name} raised {one_line(error)}"
        raise InputError(msg) from error
    style = find("ParallelStyle")
    if not isinstance(plan, Mapping) or not all(isinstance(s, style) for s in plan.values()) or not plan:
        msg = (
            f"--tp-plan {name} is no plan; write a dict from patterns of module paths to styles of "
            "torch.distributed.tensor.parallel, such as {'layers.*.mlp.up': ColwiseParallel()}"
        )
        raise InputError(msg)
    return dict(plan)


def _by_module(model: nn.Module, patterns: Mapping[str, Any], name: str) -> Styles:
    """Return the styles by the path of each module that a pattern matches."""
    paths = [path for path, _ in model.named_modules()]
    styles: Styles = {}
    for pattern, style in patterns.items():
        matched = [path for path in paths if _matches(path, pattern)]
        if not matched and name != AUTO:
            msg = f"--tp-plan {name} names {quoted(pattern)}, and the model has no such module; it has {_some(paths)}"
            raise InputError(msg)
        styles |= dict.fromkeys(matched, style)
    if not styles:
        msg = f"the plan of transformers names no module of {type(model).__name__}; {_OWN}"
        raise InputError(msg)
    return styles


def _matches(path: str, pattern: str) -> bool:
    """Return whether each part of a path matches that of the pattern, as ``parallelize_module`` compares them."""
    parts, patterns = path.split("."), pattern.split(".")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _some(paths: Iterable[str]) -> str:
    return ", ".join([path for path in paths if path][:4])


def _check_heads(model: nn.Module, tp: int) -> None:
    config = getattr(model, "config", None)
    for setting in _DIVIDED_SETTINGS:
        number = getattr(config, setting, None)
        if isinstance(number, int) and number % tp:
            heads = setting.removeprefix("num_").replace("_", " ")
            msg = f"{number} {heads} do not divide over tp={tp}; choose a size that divides them"
            raise InputError(msg)


def _check_divides(path: str, module: nn.Module, style: Any, tp: int) -> None:
    """Raise if the dimension along which a layer is divided is no multiple of the axis."""
    weight = getattr(module, "weight", None)
    if weight is None or weight.dim() != 2:  # noqa: PLR2004 - of a linear layer or an embedding
        return
    is_embedding = isinstance(module, nn.Embedding)
    colwise, rowwise = find("ColwiseParallel"), find("RowwiseParallel")
    if not isinstance(style, (colwise, rowwise)):
        return
    dimension = int(isinstance(style, rowwise) != is_embedding)
    if weight.shape[dimension] % tp:
        msg = f"{path} has {weight.shape[dimension]} features, which do not divide over tp={tp}"
        raise InputError(msg)
