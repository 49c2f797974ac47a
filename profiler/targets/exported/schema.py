"""The texts in an exported program's JSON, each checked by the field that it stands in.

torch writes names into generated Python code, imports what tree specifications name, and evaluates expressions. A text
in a field that is not listed here is refused.

Source: torch/_export/serde/schema.py, and what serialize.py and torch/export/unflatten.py do with each field.
"""

from __future__ import annotations

import re
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from profiler.targets.exported.expressions import check_expression
from profiler.targets.exported.operators import check_operator
from profiler.targets.exported.tree_specs import check_tree_spec
from profiler.targets.exported.unsafe import UnsafeProgramError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[str], None]

_LONGEST_NAME = 2000
_SYMBOL = re.compile(r"[A-Za-z_]+\d{0,6}")
_WORD = re.compile(r"[\w.+<=>:-]*")


def check_fields(value: Any, record: str) -> None:
    """Raise unless every text of a parsed JSON record is harmless.

    Args:
        value: The parsed record.
        record: The record's name, for the message.

    Raises:
        UnsafeProgramError: A text could become code, or stands in an unknown field.
    """
    try:
        _check(value, "")
    except UnsafeProgramError as error:
        msg = f"{shown(record)}: {error}"
        raise UnsafeProgramError(msg) from error


def _check(value: Any, field: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if field in _KEYS:
                _apply(_KEYS[field], key, field)
            _check(inner, field if field in _KEYS and isinstance(inner, str) else key)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, field)
    elif isinstance(value, str):
        _apply(_TEXTS.get(field, _unknown), value, field)


def _apply(check: Check, text: str, field: str) -> None:
    try:
        check(text)
    except UnsafeProgramError as error:
        msg = f"the field {shown(field)} has {shown(text)}, {error}"
        raise UnsafeProgramError(msg) from error


def _matches(pattern: re.Pattern[str], text: str) -> None:
    if len(text) > _LONGEST_NAME or not pattern.fullmatch(text):
        msg = "which is not a plain word"
        raise UnsafeProgramError(msg)


def _identifier(text: str) -> None:
    if text and (not text.isidentifier() or iskeyword(text) or len(text) > _LONGEST_NAME):
        msg = "which is not an identifier"
        raise UnsafeProgramError(msg)


def _path(text: str) -> None:
    """Check a dotted path of modules, which torch puts between double quotes where a part is no identifier."""
    if '"' in text or "\\" in text or not text.isprintable() or len(text) > _LONGEST_NAME:
        msg = "which is not a module path"
        raise UnsafeProgramError(msg)


def _unknown(_: str) -> None:
    msg = "which this version does not know"
    raise UnsafeProgramError(msg)


def _any(_: str) -> None:
    """Accept a text that stays a text: torch quotes it, or keeps it as a remark."""


_word, _symbol = partial(_matches, _WORD), partial(_matches, _SYMBOL)
#: How a text is checked, by its field. Floats that JSON cannot hold, such as "Infinity", are texts.
_TEXTS: dict[str, Check] = {
    **dict.fromkeys(("name", "as_name", "forward_arg_names", "field_names"), _identifier),
    **dict.fromkeys(("fqn", "class_fqn", "parameter_name", "buffer_name", "tensor_constant_name"), _path),
    **dict.fromkeys(("custom_obj_name", "user_input_name", "nn_module_stack"), _path),
    **dict.fromkeys(("target", "as_operator"), check_operator),
    **dict.fromkeys(("in_spec", "out_spec"), check_tree_spec),
    **dict.fromkeys(("type", "verifiers", "torch_version", "path_name"), _word),
    **dict.fromkeys(("as_float", "as_floats", "as_float_lists", "real", "imag"), _word),
    **dict.fromkeys(("as_string", "as_strings", "guards_code"), _any),
    **dict.fromkeys(("stack_trace", "source_fn_stack", "torch_fn", "from_node", "custom"), _any),
    "expr_str": check_expression,
}
#: How the keys of a mapping are checked, by the field of the mapping.
_KEYS: dict[str, Check] = {
    **dict.fromkeys(("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values"), _identifier),
    **dict.fromkeys(("custom_obj_values",), _identifier),
    **dict.fromkeys(("config", "treespec_namedtuple_fields"), _path),
    **dict.fromkeys(("opset_version", "as_string_to_argument"), _word),
    "range_constraints": _symbol,
}
