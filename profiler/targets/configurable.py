"""Models whose size can be set: the integer settings of a configuration or a factory, under common names.

Configurations use different names for the same size: the hidden size is ``n_embd`` in GPT-2 and ``d_model`` in T5. Each
common name, such as ``hidden``, stands for all of them.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profiler.targets.target import Target

#: Common name → the names that configurations and factories use for this size.
SETTING_NAMES: dict[str, tuple[str, ...]] = {
    "hidden": ("hidden", "hidden_size", "n_embd", "d_model", "embed_dim", "hidden_dim", "dim"),
    "layers": ("layers", "num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "depth"),
    "heads": ("heads", "num_attention_heads", "n_head", "encoder_attention_heads", "num_heads", "nhead"),
    "kv_heads": ("kv_heads", "num_key_value_heads"),
    "head_dim": ("head_dim",),
    "intermediate": (
        "intermediate", "intermediate_size", "n_inner", "d_ff", "encoder_ffn_dim", "dim_feedforward", "mlp_dim",
    ),
    "vocab": ("vocab", "vocab_size"),
    "positions": ("positions", "n_positions", "max_position_embeddings"),
    "resolution": ("resolution", "image_size", "img_size"),
}  # fmt: skip

#: Integers of a configuration that are not sizes.
_NOT_A_SIZE = re.compile(r"_token_id$|^label2id|^chunk_size_|_id$|seed|pretraining_tp")


@dataclass(frozen=True, slots=True)
class ConfigurableTarget:
    """A model with integer settings that can be changed before it is built."""

    name: str
    #: Return the target with these settings in place of the defaults.
    make: Callable[[Mapping[str, int]], Target]
    #: Setting → its default; None where it has none.
    settings: dict[str, int | None]
    #: Settings that must be given before the model can be built.
    required: frozenset[str] = frozenset()

    def setting(self, name: str) -> str | None:
        """Return the model's own name of a setting, from that name or a common one; None if it has no such setting."""
        return next((own for own in (name, *SETTING_NAMES.get(name, ())) if own in self.settings), None)

    def size(self, name: str) -> int | None:
        """Return the default of a setting; None if it has none."""
        own = self.setting(name)
        return None if own is None else self.settings[own]

    def setting_names(self) -> list[str]:
        """List the settings, by their common names where they have one."""
        return [common if self.setting(common := canonical_name(own)) == own else own for own in self.settings]


def canonical_name(setting: str) -> str:
    """Return the common name of a setting, or the setting itself if it has none.

    Example:
        >>> canonical_name("n_embd"), canonical_name("d_state")
        ('hidden', 'd_state')
    """
    return next((common for common, names in SETTING_NAMES.items() if setting in names), setting)


def integer_settings(configuration: Mapping[str, Any], prefix: str = "") -> dict[str, int | None]:
    """Return the integers of a configuration that are sizes; those of nested tables under dotted names."""
    settings: dict[str, int | None] = {}
    for key, value in configuration.items():
        if isinstance(value, dict):
            settings |= integer_settings(value, f"{prefix}{key}.")
        elif type(value) is int or (value is None and key == "n_inner"):
            settings[prefix + key] = value
    return {key: value for key, value in settings.items() if not _NOT_A_SIZE.search(key)}


def with_settings(
    configuration: Mapping[str, Any], settings: Mapping[str, int], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a copy of a configuration with *settings* replaced; a dotted name is a key of a nested table.

    A table that the configuration lacks is that of *defaults*, whose other keys the model needs too.
    """
    result = deepcopy(dict(configuration))
    for name, value in settings.items():
        *tables, key = name.split(".")
        table, default = result, dict(defaults or {})
        for part in tables:
            default = default.get(part) or {}
            table = table.setdefault(part, deepcopy(default))
        table[key] = value
    return result


def unknown_name_error(target: ConfigurableTarget, kind: str, name: str, more: list[str]) -> UnknownNameError:
    """Return the error for a setting or variable that *target* lacks; *more* are valid names beside its settings."""
    return UnknownNameError(f"{kind} of {target.name}", name, [*more, *target.setting_names()])
