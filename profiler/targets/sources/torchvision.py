"""Models of torchvision: ``NAME`` or ``torchvision:NAME``, in the variant of their published weights.

No weights are loaded. A builder that is called with weights also changes the module (its image size, an auxiliary head,
frozen norms), and torchvision publishes MACs and parameters of those modules, so they are built the same way here. The
default input has the size that the default weights' own transform produces.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import UnknownNameError
from profiler.targets import detection
from profiler.targets.configurable import ConfigurableTarget
from profiler.targets.optional_imports import load
from profiler.targets.registry import Source, register
from profiler.targets.target import Argument, Target, TensorInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

#: Frames of a clip; height and width of the images of an optical flow model.
#: Source: https://github.com/pytorch/vision/blob/main/test/common_extended_utils.py, get_dims and get_ops.
_FRAMES, _FLOW_SIZE = 16, 512
#: What a builder changes when it is called with weights, and has no parameter of its own for.
_AS_PUBLISHED: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": False},
    "inception_v3": {"aux_logits": True, "transform_input": True, "init_weights": False},
}


def resolve(name: str) -> Target:
    """Return a torchvision model.

    Raises:
        UnknownNameError: torchvision has no such model.
    """
    models = load("torchvision.models")
    if name not in models.list_models():
        kind = "torchvision model"
        raise UnknownNameError(kind, name, models.list_models())
    builder, weights = models.get_model_builder(name), models.get_model_weights(name).DEFAULT
    family = builder.__module__.split(".")[2]
    return Target(
        name,
        partial(_construct, name, builder, weights, family),
        _inputs(name, weights, family),
        prefers="cpu" if family in {"detection", "quantization"} else "meta",
        note=detection.TWO_STAGE_NOTE if family == "detection" and detection.is_two_stage(name) else "",
    )


def configure(name: str) -> ConfigurableTarget:
    """Return a model; a ViT has its image size as a setting, since its position embeddings depend on it."""
    target, models = resolve(name), load("torchvision.models")
    if not name.startswith("vit_"):
        return ConfigurableTarget(name, lambda _: target, {})
    builder, weights = models.get_model_builder(name), models.get_model_weights(name).DEFAULT

    def make(settings: Mapping[str, int]) -> Target:
        options = _options(name, builder, weights) | dict(settings)
        return replace(target, construct=partial(builder, weights=None, **options))

    return ConfigurableTarget(name, make, {"image_size": weights.meta["min_size"][0]})


def names() -> list[str]:
    """List torchvision's models."""
    return list(load("torchvision.models").list_models())


def _inputs(name: str, weights: Any, family: str) -> tuple[Argument, ...]:
    """Return inputs of the size that the weights' transform produces."""
    transform = weights.transforms()
    if family == "optical_flow":
        image = Argument(TensorInput((1, 3, _FLOW_SIZE, _FLOW_SIZE)))
        return image, image
    if family == "detection":
        side = detection.image_size(name)
        return (Argument(TensorInput((1, 3, side, side)), as_list=True),)
    height, width = _pair(transform.resize_size if family == "segmentation" else transform.crop_size)
    frames = (_FRAMES,) if family == "video" else ()
    return (Argument(TensorInput((1, 3, *frames, height, width))),)


def _pair(size: list[int]) -> tuple[int, int]:
    return size[0], size[-1]


def _construct(name: str, builder: Callable[..., nn.Module], weights: Any, family: str) -> nn.Module:
    options = _options(name, builder, weights)
    if family == "quantization":
        return _quantized(builder, options | {"quantize": True, "backend": weights.meta["backend"]})
    module = builder(weights=None, **options)
    return detection.match_trained(name, module) if family == "detection" else module


def _options(name: str, builder: Callable[..., nn.Module], weights: Any) -> dict[str, Any]:
    """Return the options that a builder sets by itself when it is called with the weights."""
    parameters = inspect.signature(builder).parameters
    options = dict(_AS_PUBLISHED.get(name.removeprefix("quantized_"), {}))
    if name.startswith("vit_"):
        options["image_size"] = weights.meta["min_size"][0]
    if "weights_backbone" in parameters:  # its default would be downloaded
        options["weights_backbone"] = None
    if "aux_loss" in parameters:
        options["aux_loss"] = True
    return options


def _quantized(builder: Callable[..., nn.Module], options: dict[str, Any]) -> nn.Module:
    """Build an int8 module, calibrated on noise; restore the global quantization engine."""
    engine = torch.backends.quantized.engine
    try:
        with warnings.catch_warnings():  # torch.ao is deprecated, and its observers warn of one image
            warnings.simplefilter("ignore")
            return builder(weights=None, **options)
    finally:
        torch.backends.quantized.engine = engine


register(
    Source(
        resolve, "torchvision", names, claims=lambda name: name.isidentifier() and name in names(), configure=configure
    )
)
