"""Put the contents of a list, a dictionary or a set back as they were."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from typing import Any

MAPPINGS = (dict, OrderedDict, defaultdict)
SEQUENCES = (list, deque)


def restore_container(held: Any, items: Any) -> None:
    """Make a container hold the objects in *items* again, in the same order. If it still does, it is not touched.

    Example:
        >>> held = {"a": 1}
        >>> before = dict(held)
        >>> held["b"] = held.pop("a")
        >>> restore_container(held, before)
        >>> held
        {'a': 1}
    """
    if is_same(held, items):
        return
    held.clear()
    if isinstance(held, SEQUENCES):
        held.extend(items)
    else:
        held.update(items)


def is_same(held: Any, items: Any) -> bool:
    """Return whether two containers hold the same objects; equal ones are not enough."""
    if len(held) != len(items):
        return False
    if isinstance(held, set):
        return {id(item) for item in held} == {id(item) for item in items}
    if isinstance(held, dict):
        return _same_objects(held, items) and _same_objects(held.values(), items.values())
    return _same_objects(held, items)


def _same_objects(left: Any, right: Any) -> bool:
    return all(a is b for a, b in zip(left, right, strict=True))
