"""A model in many sizes: what its configuration, or its factory, lets one set."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profiler.targets.target import Target

#: The names under which configurations keep a size, by the field's own word for it.
WORDS: dict[str, tuple[str, ...]] = {
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

#: Whole numbers of a configuration that are no sizes.
_NO_SIZE = re.compile(r"_token_id$|^label2id|^chunk_size_|_id$|seed|pretraining_tp")


@dataclass(frozen=True, slots=True)
class ConfigurableTarget:
    """A model, and the whole numbers that can be set before it is built."""

    name: str
    #: Makes the target with these settings in the place of the defaults.
    make: Callable[[Mapping[str, int]], Target]
    #: Their defaults; None where there is none.
    settings: dict[str, int | None]
    #: Those without which nothing can be built.
    required: frozenset[str] = frozenset()

    def setting(self, word: str) -> str | None:
        """Find the setting of a name, or of the field's word for it; None where there is none."""
        return next((name for name in (word, *WORDS.get(word, ())) if name in self.settings), None)

    def size(self, word: str) -> int | None:
        """Give the default of a setting; None where there is none."""
        found = self.setting(word)
        return None if found is None else self.settings[found]

    def words(self) -> list[str]:
        """List the settings, by the field's words where they have one."""
        return [word if self.setting(word := canonical_name(name)) == name else name for name in self.settings]


def canonical_name(name: str) -> str:
    """Give the field's word for a setting; the name itself where there is none.

    Example:
        >>> canonical_name("n_embd"), canonical_name("d_state")
        ('hidden', 'd_state')
    """
    return next((word for word, names in WORDS.items() if name in names), name)


def integer_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, int | None]:
    """List the whole numbers of a configuration, those of its tables by a dotted name."""
    found: dict[str, int | None] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= integer_settings(value, f"{prefix}{key}.")
        elif type(value) is int or (value is None and key == "n_inner"):
            found[prefix + key] = value
    return {key: value for key, value in found.items() if not _NO_SIZE.search(key)}


def with_settings(values: Mapping[str, Any], settings: Mapping[str, int]) -> dict[str, Any]:
    """Copy a configuration, with settings in their places."""
    result = deepcopy(dict(values))
    for name, value in settings.items():
        *tables, key = name.split(".")
        table = result
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = value
    return result


def unknown(family: ConfigurableTarget, kind: str, name: str, more: list[str]) -> UnknownNameError:
    """Make the error of a variable or setting that a model does not have."""
    return UnknownNameError(f"{kind} of {family.name}", name, [*more, *family.words()])
