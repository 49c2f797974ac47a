"""What runs where gradients are on or hooks are set: the fast paths of attention and encoder layers come apart again.

Our count is taken without either, where ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` can each be one
operator. A peer that leaves gradients on meets what they are made of, and so it does where a mask has a gradient; and
one that hooks the layers of an encoder layer meets these, gradients or not. What they do follows from the operator.

Legend: B sequences of T tokens, E wide; H heads of width W; F the width of the feed-forward layer.
Source: torch/nn/functional.py, multi_head_attention_forward; torch/nn/modules/transformer.py.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.forward_pass import ForwardPass, macs
from profiler.tally.tally import cost_record
from profiler.trace.function_calls import FunctionCall
from profiler.trace.module_facts import ModuleCall
from profiler.values.records import OpRecord, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Entry
    from profiler.trace.module_facts import ModuleFacts
    from profiler.values.findings import Contribution
    from profiler.values.records import Value

ATTENTION = "aten._native_multi_head_attention"
#: ``mask_type`` of a mask of keys. Source: aten/src/ATen/native/transformers/attention.cpp of torch.
_OF_KEYS = 1
FLASH = "aten._scaled_dot_product_flash_attention_for_cpu"
LAYER = "aten._transformer_encoder_layer_fwd"


@dataclass
class _Pieces:
    """What a fused operator comes apart into."""

    dtype: str
    calls: int
    records: list[OpRecord] = field(default_factory=list)
    visits: dict[str, list[tuple[ModuleCall, int]]] = field(default_factory=lambda: defaultdict(list))
    named: dict[str, list[tuple[FunctionCall, int]]] = field(default_factory=lambda: defaultdict(list))

    def spec(self, *shape: int) -> TensorSpec:
        """Describe a tensor."""
        return TensorSpec(shape, self.dtype, prod(shape))

    def run(self, operator: str, module: str, out: Shape, /, **arguments: Value) -> None:
        """Note an operator."""
        results = (self.spec(*out),)
        self.records.append(OpRecord(operator, module, "forward", tuple(arguments.items()), results, self.calls))

    def linear(self, module: str, rows: int, weight: Shape, bias: Value) -> None:
        """Note a product with a weight (N, K), in one operator with its bias if it has one."""
        left, right, out = self.spec(rows, weight[1]), self.spec(weight[1], weight[0]), (rows, weight[0])
        if bias is None:
            self.run("aten.mm.default", module, out, self=left, mat2=right)
        else:
            self.run("aten.addmm.default", module, out, self=bias, mat1=left, mat2=right, beta=1, alpha=1)

    def visit(self, module: str, inputs: tuple[Value, ...], output: Value) -> None:
        """Note the call of a module."""
        self.visits[module].append((ModuleCall(inputs, output), self.calls))

    def name(self, name: str, module: str, inputs: tuple[Value, ...], output: Value) -> None:
        """Note the call of a public function."""
        self.named[module].append((FunctionCall(name, module, inputs, (), output), self.calls))


def unfused(forward_pass: ForwardPass, *, hooks: bool) -> ForwardPass:
    """Take fused operators apart: encoder layers for their *hooks*, and all where a parameter asks for a gradient."""
    fused = [entry for entry in forward_pass.entries if _comes_apart(forward_pass, entry, hooks)]
    if not fused:
        return forward_pass
    pieces = [_split(entry) for entry in fused]
    gone = set(map(id, fused))
    entries = [entry for entry in forward_pass.entries if id(entry) not in gone]
    entries += [cost_record(record) for piece in pieces for record in piece.records]
    return ForwardPass(tuple(entries), tuple(_visited(facts, pieces) for facts in forward_pass.facts))


def moved_macs(forward_pass: ForwardPass, *, hooks: bool) -> Iterator[Contribution]:
    """Share out the MACs that a peer finds in the layers of an encoder layer, and we in the fused operator."""
    for entry in forward_pass.entries:
        if entry.record.packet == LAYER and _comes_apart(forward_pass, entry, hooks):
            yield from macs((entry,))
            yield from (
                contribution._replace(amount=-contribution.amount)
                for contribution in macs(map(cost_record, _split(entry).records))
            )


def _comes_apart(forward_pass: ForwardPass, entry: Entry, hooks: bool) -> bool:
    if entry.record.packet == FLASH:
        facts, mask = forward_pass.module(entry.record.module), dict(entry.record.arguments).get("attn_mask")
        return facts is not None and facts.has_learned_mask and isinstance(mask, TensorSpec) and mask.is_floating
    if entry.record.packet not in {ATTENTION, LAYER}:
        return False
    trainable = any(held.trainable for facts in forward_pass.facts for held in facts.params)
    dense = all(getattr(value, "layout", "strided") == "strided" for _, value in entry.record.arguments)
    return dense and (trainable or (hooks and entry.record.packet == LAYER))


def _visited(facts: ModuleFacts, pieces: list[_Pieces]) -> ModuleFacts:
    """Add the calls of a module to what is known of it."""
    visits = [visit for piece in pieces for name in facts.paths for visit in piece.visits.get(name, ())]
    named = [call for piece in pieces for name in facts.paths for call in piece.named.get(name, ())]
    return (
        replace(facts, calls=(*facts.calls, *visits), function_calls=(*facts.function_calls, *named))
        if visits or named
        else facts
    )


def _split(entry: Entry) -> _Pieces:
    record = entry.record
    args: dict[str, Any] = dict(record.arguments)
    pieces = _Pieces(entry.dtype, record.calls)
    if record.packet == FLASH:
        _products(pieces, record.module, *(args[name].shape for name in ("query", "key", "value")))
    elif record.packet == ATTENTION:
        _attention(pieces, record.module, args["query"].shape, args)
    else:
        _layer(pieces, record.module, args)
    return pieces


def _products(pieces: _Pieces, path: str, query: Shape, key: Shape, value: Shape) -> None:
    """Take the products of queries and keys, and of scores and values."""
    n, rows, scores = prod(query[:-2]), query[-2], (prod(query[:-2]), query[-2], key[-2])
    left, right = pieces.spec(n, rows, query[-1]), pieces.spec(n, key[-1], key[-2])
    pieces.run("aten.bmm.default", path, scores, self=left, mat2=right)
    values = pieces.spec(n, value[-2], value[-1])
    pieces.run("aten.bmm.default", path, (n, rows, value[-1]), self=pieces.spec(*scores), mat2=values)


def _attention(pieces: _Pieces, path: str, shape: Shape, args: dict[str, Any]) -> None:
    """Project queries, keys and values at once, attend, and project the result.

    The input has its first dimensions swapped: only where one of them is 1 does it stay contiguous, so that the product
    takes the bias along.
    """
    b, t, e = shape
    bias = args["qkv_bias"] if min(b, t) == 1 else None
    pieces.linear(path, b * t, (3 * e, e), bias)
    heads: int = args["num_head"] if "num_head" in args else args["num_heads"]
    if args.get("need_weights", False):
        _scores(pieces, path, (b * heads, t, e // heads), args["mask"], args["mask_type"])
    else:
        q = pieces.spec(b, heads, t, e // heads)
        given = {"dropout_p": 0.0, "is_causal": False, "attn_mask": None}
        pieces.run(f"{FLASH}.default", path, q.shape, query=q, key=q, value=q, **given)
    pieces.linear(path, b * t, (e, e), args["proj_bias"])


def _scores(pieces: _Pieces, path: str, shape: Shape, mask: TensorSpec | None, mask_type: int | None) -> None:
    """Compute the weights of attention as such, by public functions, and their products with the values."""
    n, t, w = shape
    rows, columns, scores = pieces.spec(n, t, w), pieces.spec(n, w, t), pieces.spec(n, t, t)
    if mask is None:
        pieces.run("aten.bmm.default", path, scores.shape, self=rows, mat2=columns)
        pieces.name("torch.bmm", path, (rows, columns), scores)
    else:
        added = pieces.spec(*_mask(shape, mask, of_keys=mask_type == _OF_KEYS))
        pieces.run("aten.baddbmm.default", path, scores.shape, self=added, batch1=rows, batch2=columns, beta=1, alpha=1)
        pieces.name("torch.baddbmm", path, (added, rows, columns), scores)
    pieces.name("torch.nn.functional.softmax", path, (scores,), scores)
    pieces.run("aten.bmm.default", path, rows.shape, self=scores, mat2=rows)
    pieces.name("torch.bmm", path, (scores, rows), rows)


def _mask(shape: Shape, mask: TensorSpec, *, of_keys: bool) -> Shape:
    """Give the shape of the mask that is added: one of scores for all, of keys for each sequence, or one for each."""
    n, t, _ = shape
    if of_keys:
        return n, 1, t
    return (1, t, t) if mask.elements == t * t else (n, t, t)


def _layer(pieces: _Pieces, path: str, args: dict[str, Any]) -> None:
    """Call the layers of an encoder layer."""
    b, t, e = args["src"].shape
    x, hidden = pieces.spec(b, t, e), pieces.spec(b, t, args["ffn_weight_1"].shape[0])
    below = f"{path}." if path else ""
    _attention(pieces, f"{below}self_attn", x.shape, args)
    pieces.visit(f"{below}self_attn", (x, x, x), (x, None))
    for layer, before, after, number in (("linear1", x, hidden, 1), ("linear2", hidden, x, 2)):
        pieces.linear(f"{below}{layer}", b * t, args[f"ffn_weight_{number}"].shape, args[f"ffn_bias_{number}"])
        pieces.visit(f"{below}{layer}", (before,), after)
    pieces.visit(f"{below}norm1", (x,), x)
    pieces.visit(f"{below}norm2", (x,), x)
