"""The option ``--vary``: ``NAME``, ``NAME=LOW..HIGH`` or ``NAME=LOW..HIGH:STEP``, and the sizes of each variable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

from profiler.derive import Variable
from profiler.errors import InputError
from profiler.escaping import quoted
from profiler.targets.configurable import canonical_name
from profiler.util.integers import read_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.targets.sized_target import SizedTarget

_GRAMMAR = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:=(?P<low>\d+)\.\.(?P<high>\d+)(?::(?P<step>\d+))?)?")
_MAX_BATCH, _MIN_HIGH, _DEFAULT_SEQUENCE = 8, 16, 512
#: The letter of a variable in formulas. If two variables of a formula have the same letter, both are written by name.
_LETTERS = {
    "batch": "B", "sequence": "S", "hidden": "E", "layers": "L", "heads": "H", "kv_heads": "K", "head_dim": "D",
    "intermediate": "F", "vocab": "V", "positions": "P", "resolution": "R", "height": "Y", "width": "X", "frames": "T",
    "samples": "N",
}  # fmt: skip
#: The smallest size of a variable; others start at a quarter of the model's own size. A sequence of 1 is left out:
#: models often treat it as a decoding step, to which no causal mask applies.
_LOWEST = {"batch": 1, "sequence": 2, "layers": 1, "heads": 1, "kv_heads": 1}


@dataclass(frozen=True, slots=True)
class VaryOption:
    """One parsed variable; None where the user left a part out."""

    name: str
    low: int | None = None
    high: int | None = None
    step: int | None = None


def parse_vary(texts: Sequence[str]) -> tuple[VaryOption, ...]:
    """Parse the values of ``--vary``; each may have several variables, separated by commas.

    Raises:
        InputError: One cannot be read, is repeated, or has fewer than two sizes; or there is none.

    Example:
        >>> parse_vary(["batch,hidden=64..512:64"])[1]
        VaryOption(name='hidden', low=64, high=512, step=64)
    """
    options = [_parse(word.strip()) for text in texts for word in text.split(",") if word.strip()]
    names = [option.name for option in options]
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated or not options:
        msg = f"--vary has {repeated[0]!r} twice" if repeated else "--vary is empty; write for example batch,sequence"
        raise InputError(msg)
    return tuple(options)


def parse_sizes(name: str, text: str) -> range:
    """Parse the sizes of one variable, written as after ``--vary NAME=``.

    Raises:
        InputError: They cannot be read.

    Example:
        >>> parse_sizes("hidden", "64..512:64")
        range(64, 513, 64)
    """
    option = _parse(f"{name}={text.replace(' ', '')}")
    return range(option.low or 1, (option.high or 1) + 1, option.step or 1)


def variables(options: Sequence[VaryOption], sized: SizedTarget) -> tuple[Variable, ...]:
    """Return each variable with its sizes (as given, or around the model's own size) and its letter.

    Raises:
        InputError: A variable has no default size, or none of its sizes fits the model.
    """
    letters = [_LETTERS.get(canonical_name(option.name), option.name) for option in options]
    ranges = [_sizes(option, sized, {other.name for other in options}) for option in options]
    return tuple(
        Variable(
            option.name,
            sizes,
            sized.base[option.name] or sizes[-1],
            letter if letters.count(letter) == 1 else option.name,
        )
        for option, sizes, letter in zip(options, ranges, letters, strict=True)
    )


def _parse(word: str) -> VaryOption:
    match = _GRAMMAR.fullmatch(word)
    if match is None:
        msg = f"cannot read {quoted(word)} in --vary; write NAME, NAME=LOW..HIGH or NAME=LOW..HIGH:STEP"
        raise InputError(msg)
    low, high, step = (None if match[k] is None else read_integer(match[k], word) for k in ("low", "high", "step"))
    if low is not None and high is not None and not (1 <= low < high and step != 0 and (step or 1) <= high - low):
        msg = f"{quoted(word)} in --vary has fewer than two sizes; write LOW..HIGH with 1 <= LOW < HIGH"
        raise InputError(msg)
    return VaryOption(match["name"], low, high, step)


def _sizes(option: VaryOption, sized: SizedTarget, names: set[str]) -> Sequence[int]:
    """Return the sizes in the range of *option* that fit the model's other sizes; *names* are all variables."""
    low, high = _bounds(option, sized.base[option.name])
    if option.step is not None:
        return range(low, high + 1, option.step)
    multiple, divides = _divisibility(option.name, sized, names)
    sizes: Sequence[int] = range(-(-low // multiple) * multiple, high + 1, multiple)
    if divides:
        sizes = [size for size in sizes if divides % size == 0]
    if not sizes:
        msg = f"no {option.name} from {low} to {high} fits the model; widen the range in --vary"
        raise InputError(msg)
    return sizes


def _bounds(option: VaryOption, base: int) -> tuple[int, int]:
    """Return the smallest and largest size; *base* is the model's own, or 0."""
    if option.low is not None and option.high is not None:
        return option.low, option.high
    if not base and option.name not in _LETTERS:
        msg = f"{option.name!r} has no default; write its sizes, as in --vary {option.name}=64..512"
        raise InputError(msg)
    if option.name == "batch":
        return 1, _MAX_BATCH
    if option.name == "sequence":
        return _LOWEST["sequence"], max(base, _MIN_HIGH) if base else _DEFAULT_SEQUENCE
    if option.name in _LOWEST:
        return _LOWEST[option.name], max(base, 2)
    high = max(base, _MIN_HIGH)
    can_exceed_default = option.name in {"resolution", "height", "width", "frames", "samples"}
    return max(high // 4, 1), 2 * high if can_exceed_default else high


def _divisibility(name: str, sized: SizedTarget, names: set[str]) -> tuple[int, int]:
    """Return a number that sizes of *name* must be a multiple of, and one that they must divide (0: any).

    Attention heads split the hidden size evenly, and groups of them share a key-value head.
    """
    hidden, heads, kv_heads = (sized.model.size(word) or 0 for word in ("hidden", "heads", "kv_heads"))
    has_own_head_dim = _has_own_head_dim(sized)
    if name == "hidden" and heads and not has_own_head_dim:
        divisors = [n for n in range(1, heads + 1) if hidden % n == 0] if "heads" in names else [heads]
        return 2 * lcm(*divisors), 0
    if name == "heads" and hidden and not has_own_head_dim:
        return (kv_heads if 0 < kv_heads < heads and "kv_heads" not in names else 1), hidden
    return 1, heads if name == "kv_heads" else 0


def _has_own_head_dim(sized: SizedTarget) -> bool:
    """Return whether the head dimension is set on its own, so that it does not follow from hidden size and heads."""
    return sized.model.size("head_dim") is not None and "head_dim" in sized.settings_at(dict.fromkeys(sized.names, 1))
