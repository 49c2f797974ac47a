"""Specifications of nested inputs and outputs: torch imports the modules that they name."""

from __future__ import annotations

import json
from typing import Any

from profiler.targets.exported.unsafe import UnsafeProgramError

#: What the missing values of a ``defaultdict`` may be made by.
_FACTORIES = {"list", "dict", "set", "tuple", "int", "float", "str", "bool"}
_FACTORY_MODULE, _FACTORY_NAME, _ENUM = "default_factory_module", "default_factory_name", "__enum__"


def check_tree_spec(text: str) -> None:
    """Raise if a tree specification imports a module, or holds a text that is no plain key.

    Raises:
        UnsafeProgramError: It names an enumeration or a factory of another module, or is not JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = "which is not a tree specification"
        raise UnsafeProgramError(msg) from error
    _check(value)


def _check(value: Any) -> None:
    if isinstance(value, dict):
        if _ENUM in value or _FACTORY_MODULE in value:
            _check_import(value)
        for inner in (*value, *value.values()):
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
    elif isinstance(value, str):
        _check_text(value)


def _check_import(value: dict[str, Any]) -> None:
    is_builtin = value.get(_FACTORY_MODULE) == "builtins" and value.get(_FACTORY_NAME) in _FACTORIES
    if _ENUM in value or not is_builtin:
        msg = f"which imports {value.get('fqn') or value.get(_FACTORY_MODULE)}"
        raise UnsafeProgramError(msg)


def _check_text(text: str) -> None:
    """Check a key; a context that is JSON itself is checked as what it holds."""
    if text[:1] in {"[", "{", '"'}:
        check_tree_spec(text)
    elif '"' in text or "\\" in text or not text.isprintable():
        msg = "which has a key with quotes or control characters"
        raise UnsafeProgramError(msg)
