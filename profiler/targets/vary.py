"""The words after ``--vary``, ``NAME``, ``NAME=LOW..HIGH`` or ``NAME=LOW..HIGH:STEP``, and the sizes they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

from profiler.derive import Variable
from profiler.errors import InputError
from profiler.targets.configurable import canonical_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.targets.sized_target import SizedTarget

_GRAMMAR = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:=(?P<low>\d+)\.\.(?P<high>\d+)(?::(?P<step>\d+))?)?")
_MOST_BATCH, _LEAST_HIGH = 8, 16
#: What stands for a size in a formula. A letter that two sizes of one formula would share is not used.
_LETTERS = {
    "batch": "B", "sequence": "S", "hidden": "E", "layers": "L", "heads": "H", "kv_heads": "K", "head_dim": "D",
    "intermediate": "F", "vocab": "V", "positions": "P", "resolution": "R", "height": "Y", "width": "X", "frames": "T",
    "samples": "N",
}  # fmt: skip
#: Where sizes start; others start at a quarter of the model's own. A sequence of 1 is often a way of its own: a step of
#: decoding, to which no causal mask applies.
_FROM = {"batch": 1, "sequence": 2, "layers": 1, "heads": 1, "kv_heads": 1}


@dataclass(frozen=True, slots=True)
class VaryOption:
    """One size as it was asked for."""

    name: str
    low: int | None = None
    high: int | None = None
    step: int | None = None


def parse_vary(texts: Sequence[str]) -> tuple[VaryOption, ...]:
    """Read the words after ``--vary``; commas separate several.

    Raises:
        InputError: One cannot be read, is given twice, or has no sizes.

    Example:
        >>> parse_vary(["batch,hidden=64..512:64"])[1]
        VaryOption(name='hidden', low=64, high=512, step=64)
    """
    asked = [_parse(word.strip()) for text in texts for word in text.split(",") if word.strip()]
    twice = [a.name for i, a in enumerate(asked) if a.name in {b.name for b in asked[:i]}]
    if twice or not asked:
        msg = f"--vary names {twice[0]!r} twice" if twice else "--vary names nothing; write, say, batch,sequence"
        raise InputError(msg)
    return tuple(asked)


def parse_sizes(name: str, text: str) -> range:
    """Read the sizes of a variable.

    Raises:
        InputError: They cannot be read.

    Example:
        >>> parse_sizes("hidden", "64..512:64")
        range(64, 513, 64)
    """
    asked = _parse(f"{name}={text.replace(' ', '')}")
    return range(asked.low or 1, (asked.high or 1) + 1, asked.step or 1)


def variables(asked: Sequence[VaryOption], sized: SizedTarget) -> tuple[Variable, ...]:
    """Give every size its range: as asked for, or around the model's own."""
    letters = [_LETTERS.get(canonical_name(a.name), a.name) for a in asked]
    sizes = [_sizes(a, sized, {b.name for b in asked}) for a in asked]
    return tuple(
        Variable(a.name, own, sized.base[a.name] or own[-1], letter if letters.count(letter) == 1 else a.name)
        for a, own, letter in zip(asked, sizes, letters, strict=True)
    )


def _parse(word: str) -> VaryOption:
    match = _GRAMMAR.fullmatch(word)
    if match is None:
        msg = f"cannot read {word!r} in --vary; write NAME, NAME=LOW..HIGH or NAME=LOW..HIGH:STEP"
        raise InputError(msg)
    low, high, step = (None if match[k] is None else int(match[k]) for k in ("low", "high", "step"))
    if low is not None and high is not None and not (1 <= low < high and step != 0 and (step or 1) <= high - low):
        msg = f"{word!r} in --vary holds fewer than two sizes; write them from 1 on, the smaller first"
        raise InputError(msg)
    return VaryOption(match["name"], low, high, step)


def _sizes(asked: VaryOption, sized: SizedTarget, varied: set[str]) -> Sequence[int]:
    """Give the sizes of a name, as far as they fit the model's other sizes."""
    low, high = _ends(asked, sized.base[asked.name])
    if asked.step is not None:
        return range(low, high + 1, asked.step)
    multiple, divides = _fitting(asked.name, sized, varied)
    sizes: Sequence[int] = range(-(-low // multiple) * multiple, high + 1, multiple)
    if divides:
        sizes = [size for size in sizes if divides % size == 0]
    if not sizes:
        msg = f"no {asked.name} from {low} to {high} fits the model; widen the range in --vary"
        raise InputError(msg)
    return sizes


def _ends(asked: VaryOption, base: int) -> tuple[int, int]:
    if asked.low is not None and asked.high is not None:
        return asked.low, asked.high
    if not base and asked.name not in _LETTERS:
        msg = f"{asked.name!r} has no default; write its sizes, as in --vary {asked.name}=64..512"
        raise InputError(msg)
    if asked.name == "batch":
        return 1, _MOST_BATCH
    if asked.name in _FROM:
        return _FROM[asked.name], max(base, 2) if asked.name != "sequence" else max(base, _LEAST_HIGH) if base else 512
    high = max(base, _LEAST_HIGH)
    grows = asked.name in {"resolution", "height", "width", "frames", "samples"}
    return max(high // 4, 1), 2 * high if grows else high


def _fitting(name: str, sized: SizedTarget, varied: set[str]) -> tuple[int, int]:
    """Say of what a size is a multiple, and what it divides (0: nothing): heads share the hidden size evenly."""
    hidden, heads, groups = (sized.family.size(word) or 0 for word in ("hidden", "heads", "kv_heads"))
    own = sized.family.size("head_dim") is not None and "head_dim" in sized.chosen(dict.fromkeys(sized.names, 1))
    if name == "hidden" and heads and not own:
        shared = [n for n in range(1, heads + 1) if hidden % n == 0] if "heads" in varied else [heads]
        return 2 * lcm(*shared), 0
    if name == "heads" and hidden and not own:
        return (groups if 0 < groups < heads and "kv_heads" not in varied else 1), hidden
    return 1, heads if name == "kv_heads" else 0
