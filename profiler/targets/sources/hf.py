"""Models of transformers: ``hf:NAME``, one of our presets, or ``hf:path/to/config.json``.

A model is built in float32 from its configuration alone; nothing is downloaded. The attention implementation and the
key-value cache are transformers' defaults.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiler.errors import TargetError, UnknownNameError, one_line
from profiler.escaping import quoted
from profiler.targets.configurable import SETTING_NAMES, ConfigurableTarget, integer_settings, with_settings
from profiler.targets.hf_inputs import default_inputs, left_out
from profiler.targets.offline import offline, require_local
from profiler.targets.optional_imports import load, without_warnings
from profiler.targets.registry import Source, register
from profiler.targets.target import Argument, Target
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.lazy_imports import LazyModule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.targets import presets
    from profiler.targets.presets import Preset
else:
    presets = LazyModule("profiler.targets.presets")  # pydantic checks their files

#: Transformers' lists of models by configuration, those without a head first.
_MAPPINGS = (
    "MODEL_MAPPING", "MODEL_FOR_PRETRAINING_MAPPING", "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
)  # fmt: skip
#: The most layers of a model: each takes milliseconds to build.
_MAX_LAYERS = 2000


@offline()
def resolve(name: str) -> Target:
    """Return a preset, or a model described by a configuration file.

    Raises:
        UnknownNameError: There is no such preset, or transformers has no such model type.
        TargetError: The file cannot be read, or does not describe a model that transformers can build.
    """
    if _is_file(name):
        return _from_file(name)
    preset = presets.find_preset(name)
    inputs = tuple(Argument(tensor, key) for key, tensor in preset.inputs.items())
    return Target(name, partial(_construct_preset, preset), inputs, preset.prefers, preset.note)


def names() -> list[str]:
    """List the presets and their aliases."""
    return [f"hf:{name}" for key, preset in presets.all_presets().items() for name in (key, *preset.aliases)]


@offline()
def configure(name: str) -> ConfigurableTarget:
    """Return a model with its settings: the integers of its configuration."""
    return _configure_file(name) if _is_file(name) else _configure_preset(name)


def _is_file(name: str) -> bool:
    return name.endswith(".json")


def _configure_preset(name: str) -> ConfigurableTarget:
    preset, target = presets.find_preset(name), resolve(name)
    config = load("transformers", preset.model).config_class(**deepcopy(preset.configuration))

    def make(settings: Mapping[str, int]) -> Target:
        changed = replace(preset, configuration=with_settings(preset.configuration, settings, config.to_dict()))
        return replace(target, construct=partial(_construct_preset, changed))

    return ConfigurableTarget(name, make, integer_settings(config.to_dict()))


def _configure_file(path: str) -> ConfigurableTarget:
    target, values = resolve(path), _read(path)
    config_class = load("transformers", "CONFIG_MAPPING")[values["model_type"]]
    defaults = config_class.from_dict(deepcopy(values))

    @offline()
    def construct(settings: Mapping[str, int]) -> Any:
        config = config_class.from_dict(with_settings(values, settings))
        return _model_class(path, config)(config)

    def make(settings: Mapping[str, int]) -> Target:
        return replace(target, construct=partial(construct, settings))

    return ConfigurableTarget(path, make, integer_settings(defaults.to_dict()))


@offline()
def _construct_preset(preset: Preset) -> nn.Module:
    model = load("transformers", preset.model)
    module: nn.Module = model(model.config_class(**deepcopy(preset.configuration)))
    with torch.no_grad():
        for name, value in preset.fill.items():
            module.get_parameter(name).fill_(value)
    return module


@offline()
def _construct(model: Any, config: Any) -> Any:
    return model(config)


def _from_file(path: str) -> Target:
    values = _read(path)
    types = load("transformers", "CONFIG_MAPPING")
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in types:
        kind = f"transformers model type in {path}"
        raise UnknownNameError(kind, str(model_type), list(types))
    try:
        config = types[model_type].from_dict(values)
    except Exception as error:
        msg = f"{path} is not a valid configuration of {model_type}: {one_line(error)}"
        raise TargetError(msg) from error
    model = _model_class(path, config)
    construct = partial(_construct, model, config)
    with without_warnings():
        inputs = default_inputs(path, model, config, construct)
    return Target(path, construct, inputs, left_out=partial(left_out, model))


def _read(path: str) -> dict[str, Any]:
    hint = "the config.json of a model of transformers"
    values = parse_json(read_json_text(path, TargetError, hint), path, TargetError)
    if not isinstance(values, dict):
        msg = f"{path} is not a configuration: it has a {type(values).__name__} where a JSON object is expected"
        raise TargetError(msg)
    require_local(path, values)
    layers = [n for key in SETTING_NAMES["layers"] if type(n := values.get(key)) is int]
    if max(layers, default=0) > _MAX_LAYERS:
        msg = f"{path} has {max(layers):.4g} layers; at most {_MAX_LAYERS} are built"
        raise TargetError(msg)
    return values


def _model_class(path: str, config: Any) -> Any:
    """Return the first class that the file lists as architecture; the model without a head if it lists none."""
    names = config.architectures
    if not names:
        return _base_model(path, config)
    if not isinstance(names, list) or not isinstance(names[0], str):
        msg = f'{path} has the architectures {quoted(names)}; write a list of names, such as ["BertModel"]'
        raise TargetError(msg)
    try:
        model = load("transformers", names[0])
    except AttributeError as error:
        msg = f"{path} asks for {quoted(names[0])}, which this version of transformers does not have"
        raise TargetError(msg) from error
    if not (isinstance(model, type) and issubclass(model, load("transformers", "PreTrainedModel"))):
        msg = f"{path} asks for {names[0]}, which is not a model"
        raise TargetError(msg)
    return model


def _base_model(path: str, config: Any) -> Any:
    """Return the model without a head, or else the first that transformers has for such a configuration."""
    for mapping in _MAPPINGS:
        models = load("transformers", mapping)
        if type(config) in models:
            model = models[type(config)]
            return model[0] if isinstance(model, (list, tuple)) else model
    part = _model_of_part(type(config))
    if part is not None:
        return part
    msg = f"{path} lists no architecture, and {config.model_type} has no model of its own; add `architectures`"
    raise TargetError(msg)


def _model_of_part(config: type) -> Any:
    """Return the first model of such a configuration in the file of its family, such as the tower of a model."""
    place = config.__module__.rpartition(".")
    family = place[2].removeprefix("configuration_")
    try:
        module = import_module(f"{place[0]}.modeling_{family}")
    except ImportError:
        return None
    base = load("transformers", "PreTrainedModel")
    models: list[Any] = [
        value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base)
    ]
    made = [m for m in models if m.__module__ == module.__name__ and m.config_class is config and _has_forward(m)]
    exported, whole = load("transformers"), ("Model", "ForConditionalGeneration")
    return min(made, key=lambda m: (not hasattr(exported, m.__name__), not m.__name__.endswith(whole)), default=None)


def _has_forward(model: type[nn.Module]) -> bool:
    return model.forward is not nn.Module.forward and not model.__name__.endswith("PreTrainedModel")


register(Source(resolve, "hf", names, configure=configure, is_file=_is_file))
