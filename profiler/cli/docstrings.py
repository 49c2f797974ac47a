"""The help of the commands, which is written in docstrings, when Python runs without them (``python -OO``)."""

from __future__ import annotations

import ast
import sys
from inspect import cleandoc, getsource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_WITHOUT_DOCSTRINGS = 2


def restore_docstrings(modules: Iterable[ModuleType]) -> None:
    """Give the functions of *modules* their docstrings from the source, if Python left them out."""
    if sys.flags.optimize < _WITHOUT_DOCSTRINGS:
        return
    for module in modules:
        try:
            tree = ast.parse(getsource(module))
        except (OSError, SyntaxError):  # there is no source: help then lists the options alone
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                getattr(module, node.name).__doc__ = cleandoc(ast.get_docstring(node) or "")
