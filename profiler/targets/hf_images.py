"""The image of a multimodal model of transformers: its tensors, and the tokens that stand for it in the text.

How many tokens an image has follows from the vision tower and its projector, so the model is asked: it is built on
``meta``, and its ``get_image_features`` runs on an image of each form that models take.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from profiler.targets.input_tensors import TensorMaker, floating_dtype
from profiler.targets.meta_init import construct_on_meta
from profiler.targets.target import Argument, ModuleWithInputs, TensorInput
from profiler.trace.known_values import known_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

_TOKEN_NAMES = ("image_token_id", "image_token_index")
#: The tokens of text after an image, if the default text is shorter than the image.
_TEXT_AFTER = 64
#: Into how many tiles models of any resolution divide an image of their own size, the whole image included.
_TILES = (3, 5, 2)


def image_token(config: Any) -> int | None:
    """Return the token that stands for a part of an image in the text; None if images do not stand in the text."""
    return next((token for name in _TOKEN_NAMES if type(token := getattr(config, name, None)) is int), None)


def text_with_image(
    construct: Callable[[], nn.Module], config: Any, text: TensorInput, image: TensorInput
) -> tuple[Argument, ...]:
    """Return the text that begins with an image, and the image; nothing if the model takes none of the known forms.

    Args:
        construct: Builds the model.
        config: Its configuration.
        text: Its tokens without an image.
        image: One image, ``(1, channels, height, width)``.
    """
    token, model = image_token(config), built_on_meta(construct)
    features = getattr(model, "get_image_features", None)
    if token is None or model is None or features is None:
        return ()
    for form in _forms(features, config, image):
        count = _count_tokens(model, features, form)
        if count:
            length = max(text.shape[1], count + _TEXT_AFTER)
            tokens = TensorInput((1, length), text.dtype, starts_with=((token, count),))
            kinds = TensorInput((1, length), text.dtype, starts_with=((1, count),))
            takes = inspect.signature(model.forward).parameters
            more = [Argument(kinds, "mm_token_type_ids", "input_ids")] if "mm_token_type_ids" in takes else []
            images = (Argument(value, name, "input_ids") for name, value in form.items())
            return (Argument(tokens, "input_ids"), *images, *more)
    return ()


def built_on_meta(construct: Callable[[], nn.Module]) -> nn.Module | None:
    """Return a model on ``meta``, to ask it; None if it cannot be built, which is reported when it is built to run."""
    try:
        model = construct_on_meta(construct)
    except Exception:  # noqa: BLE001 - as above
        return None
    return None if isinstance(model, ModuleWithInputs) else model.eval()


def _forms(features: Callable[..., Any], config: Any, image: TensorInput) -> list[dict[str, TensorInput]]:
    """List the forms in which models take an image; those first that fit the names of the parameters."""
    takes = inspect.signature(features).parameters
    _, channels, height, width = image.shape
    if "image_grid_thw" in takes:
        pixels, grid = patches_of(config.vision_config, channels, height)
        return [{"pixel_values": pixels, "image_grid_thw": grid}]
    sizes = {"image_sizes": TensorInput((1, 2), "int64", starts_with=((height, 1), (width, 1)))}
    several = {  # images of zeros would be left out as padding
        "pixel_values": TensorInput((1, 1, channels, height, width), starts_with=((1, width),)),
        "pixel_attention_mask": TensorInput((1, 1, height, width), "int64"),
    }
    forms: list[dict[str, TensorInput]] = [{"pixel_values": image}]
    if "image_sizes" in takes:
        forms += [{"pixel_values": image} | sizes]
        forms += [{"pixel_values": TensorInput((1, tiles, channels, height, width))} | sizes for tiles in _TILES]
    if "pixel_attention_mask" in takes:
        forms.insert(0, several)
    return forms


def patches_of(vision: Any, channels: int, side: int) -> tuple[TensorInput, TensorInput]:
    """Return a square image as a list of patches, and the grid that they form.

    Args:
        vision: The configuration of the vision tower.
        channels: The channels of the image.
        side: Its height and width in pixels.
    """
    patch, merged = vision.patch_size, getattr(vision, "spatial_merge_size", 1)
    cells = max(1, side // (patch * merged)) * merged
    width = channels * getattr(vision, "temporal_patch_size", 1) * patch * patch
    pixels = TensorInput((cells * cells, width), rows=cells * cells)
    return pixels, TensorInput((1, 3), "int64", starts_with=((1, 1), (cells, 2)))


def _count_tokens(model: nn.Module, features: Callable[..., Any], form: dict[str, TensorInput]) -> int:
    """Return the number of tokens that the features of an image take; 0 if the model does not take this form."""
    try:
        with torch.inference_mode(), known_values():
            maker = TensorMaker("meta", floating_dtype(model))
            result = features(**{name: maker.make(Argument(value), name) for name, value in form.items()})
    except Exception:  # noqa: BLE001 - models raise anything for an image of another form
        return 0
    width = model.get_input_embeddings().weight.shape[-1]  # type: ignore[operator] # of transformers
    pooled = getattr(result, "pooler_output", result)
    tensors = [leaf for leaf in tree_leaves(pooled) if isinstance(leaf, torch.Tensor)]
    elements = sum(tensor.numel() for tensor in tensors)
    return elements // width if tensors and all(tensor.shape[-1] == width for tensor in tensors) else 0
