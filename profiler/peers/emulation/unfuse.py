"""Replace the fused fast paths of attention and encoder layers by the operators that run under a peer.

We count without gradients and hooks, so ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` can each run as
one fused operator. Under a peer that leaves gradients enabled, or that hooks the layers inside an encoder layer, the
operators inside run instead. Attention with a mask that has a gradient is not fused under such a peer either. The
operators that run are derived from the arguments of the fused one.

Legend: B sequences of T tokens with E features; H heads of width W; F the width of the feed-forward layer.
Source: torch/nn/functional.py, multi_head_attention_forward; torch/nn/modules/transformer.py.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.forward_pass import ForwardPass, mac_contributions
from profiler.tally.tally import cost_record
from profiler.trace.call_facts import FunctionCall, ModuleCall
from profiler.values.records import OpRecord, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Entry
    from profiler.trace.module_facts import ModuleFacts
    from profiler.values.findings import Contribution
    from profiler.values.records import Value

ATTENTION = "aten._native_multi_head_attention"
#: ``mask_type`` of a key padding mask. Source: aten/src/ATen/native/transformers/attention.cpp of torch.
_KEY_PADDING = 1
FLASH = "aten._scaled_dot_product_flash_attention_for_cpu"
LAYER = "aten._transformer_encoder_layer_fwd"


@dataclass
class _Decomposition:
    """The operators, module calls and function calls that replace a fused operator."""

    dtype: str
    #: How often the fused operator was called.
    times: int
    records: list[OpRecord] = field(default_factory=list)
    module_calls: dict[str, list[tuple[ModuleCall, int]]] = field(default_factory=lambda: defaultdict(list))
    function_calls: dict[str, list[tuple[FunctionCall, int]]] = field(default_factory=lambda: defaultdict(list))

    def spec(self, *shape: int) -> TensorSpec:
        return TensorSpec(shape, self.dtype, prod(shape))

    def add_operator(self, operator: str, module: str, out: Shape, /, **arguments: Value) -> None:
        results = (self.spec(*out),)
        self.records.append(OpRecord(operator, module, "forward", tuple(arguments.items()), results, self.times))

    def add_linear(self, module: str, rows: int, weight: Shape, bias: Value) -> None:
        """Add a product with a weight (N, K); a bias is added by the same operator."""
        left, right, out = self.spec(rows, weight[1]), self.spec(weight[1], weight[0]), (rows, weight[0])
        if bias is None:
            self.add_operator("aten.mm.default", module, out, self=left, mat2=right)
        else:
            self.add_operator("aten.addmm.default", module, out, self=bias, mat1=left, mat2=right, beta=1, alpha=1)

    def add_module_call(self, module: str, inputs: tuple[Value, ...], output: Value) -> None:
        self.module_calls[module].append((ModuleCall(inputs, output), self.times))

    def add_function_call(self, name: str, module: str, inputs: tuple[Value, ...], output: Value) -> None:
        self.function_calls[module].append((FunctionCall(name, module, inputs, (), output), self.times))


def unfused(forward_pass: ForwardPass, *, hooks: bool) -> ForwardPass:
    """Return the forward pass with the operators that run under a peer in place of the fused ones.

    Args:
        forward_pass: The forward pass as we recorded it.
        hooks: Whether the peer hooks the layers inside an encoder layer. Without hooks, an operator is unfused only if
            a parameter of the model requires a gradient.
    """
    fused = [entry for entry in forward_pass.entries if _is_unfused(forward_pass, entry, hooks)]
    if not fused:
        return forward_pass
    decompositions = [_decompose(entry) for entry in fused]
    removed = set(map(id, fused))
    entries = [entry for entry in forward_pass.entries if id(entry) not in removed]
    entries += [cost_record(record) for decomposition in decompositions for record in decomposition.records]
    facts = tuple(_with_calls(facts, decompositions) for facts in forward_pass.facts)
    return replace(forward_pass, entries=tuple(entries), facts=facts)


def moved_macs(forward_pass: ForwardPass, *, hooks: bool) -> Iterator[Contribution]:
    """Yield the MACs of fused encoder layers, and subtract them where a peer finds them: in the layers inside."""
    for entry in forward_pass.entries:
        if entry.record.packet == LAYER and _is_unfused(forward_pass, entry, hooks):
            yield from mac_contributions((entry,))
            yield from (
                contribution._replace(amount=-contribution.amount)
                for contribution in mac_contributions(map(cost_record, _decompose(entry).records))
            )


def _is_unfused(forward_pass: ForwardPass, entry: Entry, hooks: bool) -> bool:
    """Return whether an operator is a fused one that does not run under the peer."""
    if entry.record.packet == FLASH:
        facts, mask = forward_pass.module(entry.record.module), dict(entry.record.arguments).get("attn_mask")
        return facts is not None and facts.has_learned_mask and isinstance(mask, TensorSpec) and mask.is_floating
    if entry.record.packet not in {ATTENTION, LAYER}:
        return False
    trainable = any(param.trainable for facts in forward_pass.facts for param in facts.params)
    dense = all(getattr(value, "layout", "strided") == "strided" for _, value in entry.record.arguments)
    return dense and (trainable or (hooks and entry.record.packet == LAYER))


def _with_calls(facts: ModuleFacts, decompositions: list[_Decomposition]) -> ModuleFacts:
    """Add the calls that decompositions make of a module, and in it, to its facts."""
    calls = [call for d in decompositions for path in facts.paths for call in d.module_calls.get(path, ())]
    functions = [call for d in decompositions for path in facts.paths for call in d.function_calls.get(path, ())]
    if not calls and not functions:
        return facts
    return replace(facts, calls=(*facts.calls, *calls), function_calls=(*facts.function_calls, *functions))


def _decompose(entry: Entry) -> _Decomposition:
    record = entry.record
    args: dict[str, Any] = dict(record.arguments)
    decomposition = _Decomposition(entry.dtype, record.calls)
    if record.packet == FLASH:
        _add_products(decomposition, record.module, *(args[name].shape for name in ("query", "key", "value")))
    elif record.packet == ATTENTION:
        _add_attention(decomposition, record.module, args["query"].shape, args)
    else:
        _add_encoder_layer(decomposition, record.module, args)
    return decomposition


def _add_products(ops: _Decomposition, path: str, query: Shape, key: Shape, value: Shape) -> None:
    """Add the product of queries and keys, and the product of scores and values."""
    n, rows, scores = prod(query[:-2]), query[-2], (prod(query[:-2]), query[-2], key[-2])
    left, right = ops.spec(n, rows, query[-1]), ops.spec(n, key[-1], key[-2])
    ops.add_operator("aten.bmm.default", path, scores, self=left, mat2=right)
    values = ops.spec(n, value[-2], value[-1])
    ops.add_operator("aten.bmm.default", path, (n, rows, value[-1]), self=ops.spec(*scores), mat2=values)


def _add_attention(ops: _Decomposition, path: str, shape: Shape, args: dict[str, Any]) -> None:
    """Add the joint projection of queries, keys and values, the attention, and the output projection.

    The first two dimensions of the input are swapped. Only if one of them is 1 does it stay contiguous, so that one
    operator computes the product and the bias.
    """
    b, t, e = shape
    bias = args["qkv_bias"] if min(b, t) == 1 else None
    ops.add_linear(path, b * t, (3 * e, e), bias)
    heads: int = args["num_head"] if "num_head" in args else args["num_heads"]
    if args.get("need_weights", False):
        _add_attention_weights(ops, path, (b * heads, t, e // heads), args["mask"], args["mask_type"])
    else:
        q = ops.spec(b, heads, t, e // heads)
        options = {"dropout_p": 0.0, "is_causal": False, "attn_mask": None}
        ops.add_operator(f"{FLASH}.default", path, q.shape, query=q, key=q, value=q, **options)
    ops.add_linear(path, b * t, (e, e), args["proj_bias"])


def _add_attention_weights(
    ops: _Decomposition, path: str, shape: Shape, mask: TensorSpec | None, mask_type: int | None
) -> None:
    """Add the public functions that compute the attention weights, and their product with the values."""
    n, t, w = shape
    rows, columns, scores = ops.spec(n, t, w), ops.spec(n, w, t), ops.spec(n, t, t)
    if mask is None:
        ops.add_operator("aten.bmm.default", path, scores.shape, self=rows, mat2=columns)
        ops.add_function_call("torch.bmm", path, (rows, columns), scores)
    else:
        added = ops.spec(*_mask_shape(shape, mask, is_key_padding=mask_type == _KEY_PADDING))
        arguments: dict[str, Value] = {"self": added, "batch1": rows, "batch2": columns, "beta": 1, "alpha": 1}
        ops.add_operator("aten.baddbmm.default", path, scores.shape, **arguments)
        ops.add_function_call("torch.baddbmm", path, (added, rows, columns), scores)
    ops.add_function_call("torch.nn.functional.softmax", path, (scores,), scores)
    ops.add_operator("aten.bmm.default", path, rows.shape, self=scores, mat2=rows)
    ops.add_function_call("torch.bmm", path, (scores, rows), rows)


def _mask_shape(shape: Shape, mask: TensorSpec, *, is_key_padding: bool) -> Shape:
    """Return the shape of the mask that is added to the scores: one for the keys, one for all heads, or one each."""
    n, t, _ = shape
    if is_key_padding:
        return n, 1, t
    return (1, t, t) if mask.elements == t * t else (n, t, t)


def _add_encoder_layer(ops: _Decomposition, path: str, args: dict[str, Any]) -> None:
    """Add the operators and calls of the layers inside an encoder layer."""
    b, t, e = args["src"].shape
    x, hidden = ops.spec(b, t, e), ops.spec(b, t, args["ffn_weight_1"].shape[0])
    prefix = f"{path}." if path else ""
    _add_attention(ops, f"{prefix}self_attn", x.shape, args)
    ops.add_module_call(f"{prefix}self_attn", (x, x, x), (x, None))
    for layer, before, after, number in (("linear1", x, hidden, 1), ("linear2", hidden, x, 2)):
        ops.add_linear(f"{prefix}{layer}", b * t, args[f"ffn_weight_{number}"].shape, args[f"ffn_bias_{number}"])
        ops.add_module_call(f"{prefix}{layer}", (before,), after)
    ops.add_module_call(f"{prefix}norm1", (x,), x)
    ops.add_module_call(f"{prefix}norm2", (x,), x)
