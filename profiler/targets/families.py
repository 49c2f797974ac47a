"""A model in many sizes: what its configuration, or its factory, lets one set."""

from __future__ import annotations

import inspect
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.errors import UnknownNameError
from profiler.targets import factory, hf, torchvision
from profiler.targets.packages import load
from profiler.targets.presets import find_preset
from profiler.targets.sources import resolve
from profiler.targets.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
class Family:
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
        return [word if self.setting(word := word_of(name)) == name else name for name in self.settings]


def word_of(name: str) -> str:
    """Give the field's word for a setting; the name itself where there is none.

    Example:
        >>> word_of("n_embd"), word_of("d_state")
        ('hidden', 'd_state')
    """
    return next((word for word, names in WORDS.items() if name in names), name)


def find_family(name: str) -> Family:
    """Find what can be set of a target; nothing is built yet.

    Raises:
        ProfilerError: The name is no target.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix == "hf":
        return _configuration(name, rest) if rest.endswith(".json") else _preset(name, rest)
    if colon and prefix == "timm":
        return _timm(name)
    if prefix != "torchvision" and factory.claims(name):
        return _factory(name)
    target = resolve(name)
    if target.name.startswith(("vit_", "torchvision:vit_")):
        return _vision_transformer(target)
    return Family(name, lambda _: target, {})


def _preset(name: str, rest: str) -> Family:
    preset = find_preset(rest)
    config = load("transformers", preset.model).config_class(**deepcopy(preset.configuration))
    target = resolve(name)

    def make(settings: Mapping[str, int]) -> Target:
        changed = replace(preset, configuration=_changed(preset.configuration, settings))
        return replace(target, construct=partial(hf._construct_preset, changed))

    return Family(name, make, _integers(config.to_dict()))


def _configuration(name: str, path: str) -> Family:
    target, values = resolve(name), hf._read(path)
    types = load("transformers", "CONFIG_MAPPING")
    config_class = types[values["model_type"]]
    defaults = config_class.from_dict(deepcopy(values))

    def construct(settings: Mapping[str, int]) -> Any:
        config = config_class.from_dict(_changed(values, settings))
        return hf._model_class(path, config)(config)

    return Family(name, lambda s: replace(target, construct=partial(construct, s)), _integers(defaults.to_dict()))


def _factory(name: str) -> Family:
    """Let the parameters of a factory be set that are whole numbers, or have no default."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        return Family(name, lambda _: resolve(name), {})
    is_file = place.endswith(".py")
    directory = Path(place).resolve().parent if is_file else Path.cwd()
    with factory._importable(directory):
        module = factory._import_file(Path(place)) if is_file else factory._import_module(place)
    found = factory._find(module, place, attribute)
    settings = _parameters(found) if callable(found) else {}

    def make(chosen: Mapping[str, int]) -> Target:
        made = partial(found, **chosen) if chosen else found
        return Target(name, factory._constructor(name, made, directory))

    return Family(name, make, settings, frozenset(key for key, value in settings.items() if value is None))


def _parameters(found: Callable[..., Any]) -> dict[str, int | None]:
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not say
        return {}
    named = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    return {p.name: None if p.default is p.empty else p.default for p in named if _is_size(p)}


def _is_size(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty or type(parameter.default) is int


def _timm(name: str) -> Family:
    target, timm = resolve(name), load("timm")
    size = timm.get_pretrained_cfg(name.partition(":")[2], allow_unregistered=True).input_size[-1]

    def make(settings: Mapping[str, int]) -> Target:
        construct = partial(timm.create_model, name.partition(":")[2], pretrained=False, **settings)
        return replace(target, construct=construct)

    takes_size = any(word in name for word in ("vit", "swin", "deit", "mixer"))
    return Family(name, make, {"img_size": size} if takes_size else {})


def _vision_transformer(target: Target) -> Family:
    """Let torchvision's ViT be built for another image size, as its positions have to be."""
    name = target.name.removeprefix("torchvision:")
    builder = load("torchvision.models").get_model_builder(name)
    weights = load("torchvision.models").get_model_weights(name).DEFAULT

    def make(settings: Mapping[str, int]) -> Target:
        options = torchvision._options(name, builder, weights) | dict(settings)
        return replace(target, construct=partial(builder, weights=None, **options))

    return Family(target.name, make, {"image_size": weights.meta["min_size"][0]})


def _integers(values: Mapping[str, Any], prefix: str = "") -> dict[str, int | None]:
    """List the whole numbers of a configuration, those of its tables by a dotted name."""
    found: dict[str, int | None] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _integers(value, f"{prefix}{key}.")
        elif type(value) is int or (value is None and key == "n_inner"):
            found[prefix + key] = value
    return {key: value for key, value in found.items() if not _NO_SIZE.search(key)}


def _changed(values: Mapping[str, Any], settings: Mapping[str, int]) -> dict[str, Any]:
    """Copy a configuration, with settings in their places."""
    result = deepcopy(dict(values))
    for name, value in settings.items():
        *tables, key = name.split(".")
        table = result
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = value
    return result


def unknown(family: Family, kind: str, name: str, more: list[str]) -> UnknownNameError:
    """Make the error of a variable or setting that a model does not have."""
    return UnknownNameError(f"{kind} of {family.name}", name, [*more, *family.words()])
