"""Build models from configurations without a network: nothing is downloaded, and no code comes from a hub.

A configuration can name a kernel on a hub (``"attn_implementation": "org/kernel"``) or a backbone of another one
(``"backbone": "hf-hub:org/model"``). Such a configuration is refused before the model is built.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from profiler.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Read by transformers when it is imported: whether layers are replaced by kernels of the hub.
_KERNELS = "USE_HUB_KERNELS"
_HUB_CONSTANTS = "huggingface_hub.constants"
#: Fields of a configuration that name a model of timm; timm takes a hub or a folder before a colon.
_TIMM_FIELDS = {"backbone", "architecture"}
#: Arguments of timm that name a file of weights, or where to find one; a configuration can hold arguments of timm.
_WEIGHTS_FIELDS = {"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay"}
_HINTS = dict.fromkeys(_TIMM_FIELDS, "name a model of timm") | dict.fromkeys(_WEIGHTS_FIELDS, "leave it out")


@contextmanager
def offline() -> Iterator[None]:
    """Refuse requests of huggingface_hub in the block, and kernels of the hub if transformers is imported in it."""
    with suppress(ImportError):  # then there is no hub to ask
        import_module(_HUB_CONSTANTS)
    hub, variable = sys.modules.get(_HUB_CONSTANTS), os.environ.get(_KERNELS)
    was_offline = getattr(hub, "HF_HUB_OFFLINE", None)
    os.environ[_KERNELS] = "NO"
    if hub is not None:
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined] # read at each request
    try:
        yield
    finally:
        if hub is not None:
            hub.HF_HUB_OFFLINE = was_offline  # type: ignore[attr-defined] # as above
        if variable is None:
            del os.environ[_KERNELS]
        else:
            os.environ[_KERNELS] = variable


def require_local(source: str, configuration: Any) -> None:
    """Raise if a configuration, or one nested in it, names code or a model on a hub.

    Args:
        source: The name of the file, for the message.
        configuration: The parsed configuration.

    Raises:
        TargetError: It does.
    """
    for key, value in _texts(configuration, ""):
        if _is_remote(key, value):
            hint = _HINTS.get(key, "write eager or sdpa")
            msg = f"{source} has {key} {value[:80]!r}, which is on a hub or in a file; models are built offline, {hint}"
            raise TargetError(msg)


def _is_remote(key: str, value: str) -> bool:
    if key in _TIMM_FIELDS:
        return ":" in value
    if key in _WEIGHTS_FIELDS:
        return True
    return key.endswith("_implementation") and "/" in value


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield each text with its field; in a mapping such as ``{"": "org/kernel"}``, with the field of the mapping."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            is_part = key.endswith("_implementation") or key in _WEIGHTS_FIELDS
            field = key if is_part else inner_key.removesuffix("_internal")
            yield from _texts(inner, field)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value
