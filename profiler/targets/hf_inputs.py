"""Inputs of transformers' models, derived from their configurations: text, images, spectrograms and waveforms."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from profiler.errors import TargetError
from profiler.escaping import quoted
from profiler.targets.hf_images import image_token, patches_of, text_with_image
from profiler.targets.hf_sounds import sound_inputs
from profiler.targets.target import Argument, TensorInput

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import nn

#: Tokens of the default input: this many if the configuration names no maximum, and never more than the limit.
_DEFAULT_TOKENS, _MAX_TOKENS = 512, 2048
#: The image of a model of any size, as most are trained; and the patches of one that takes any number.
_IMAGE_SIZE, _CHANNELS, _PATCHES, _PATCH = 224, 3, 2048, 16
#: Endings of the names of tokens and their masks.
_TOKENS = ("input_ids", "attention_mask")
#: Main inputs, for the parts of models that name another than they take.
_MAIN_INPUTS = ("pixel_values", "input_features", "input_values", "hidden_states", "inputs_embeds", "spectrogram")
#: Lists of vectors, and the settings that say how wide these are.
_WIDTHS = {
    "inputs": ("d_model",), "inputs_embeds": ("hidden_size",), "hidden_states": ("input_dim", "hidden_size"),
    "spectrogram": ("model_in_dim",),
}  # fmt: skip
#: What vision towers call the grid that the patches of an image form.
_GRIDS = ("grid_thw", "image_grid_thw")
#: Parts of a configuration that may have the size of the text, or of the image.
_TEXT_PARTS, _IMAGE_PARTS = ("text_config", "decoder"), ("vision_config", "encoder", "backbone_config")
_WITHOUT_LIMIT = (-1, None)


def default_inputs(path: str, model: Any, config: Any, construct: Callable[[], nn.Module]) -> tuple[Argument, ...]:
    """Return the inputs of one call of a model, with a batch of 1; none if they cannot be derived.

    Args:
        path: The configuration file, for messages.
        model: The class of the model.
        config: Its configuration.
        construct: Builds the model, to ask it how many tokens an image has, or which form of sound it takes.

    Raises:
        TargetError: The length or the size that the configuration names is not a number above 0.
    """
    takes = inspect.signature(model.forward).parameters
    inputs = _main_inputs(path, model, config, construct)
    if not inputs:
        return ()
    given = {argument.name for argument in inputs}
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        given.add("decoder_input_ids")
        inputs.append(Argument(_decoder_tokens(path, config), "decoder_input_ids"))
    required = [name for name, p in takes.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    tokens = [name for name in required if name not in {"self", *given} and name.endswith(_TOKENS)]
    return (*inputs, *(Argument(_tokens(path, config, model), name) for name in tokens))


def _main_inputs(path: str, model: Any, config: Any, construct: Callable[[], nn.Module]) -> list[Argument]:
    """Return the main input, and what belongs to it; nothing if it has no known form."""
    takes, main = set(inspect.signature(model.forward).parameters), model.main_input_name
    main = main if isinstance(main, str) else main[0]
    main = main if main in takes else next((name for name in _MAIN_INPUTS if name in takes), main)
    grid = next((name for name in _GRIDS if name in takes), None)
    if grid is not None and "input_ids" not in takes:
        return _patches(main if main in takes else "hidden_states", grid, path, config)
    match main:
        case "input_ids":
            return _text_inputs(path, model, config, construct)
        case "pixel_values":
            inputs = [Argument(_image(path, config), "pixel_values")]
            if "input_ids" in takes and hasattr(config, "text_config"):
                inputs.append(Argument(_tokens(path, config, model), "input_ids"))
            return inputs
        case "input_features" | "input_values":
            return sound_inputs(main, takes, config, construct)
        case _:
            return _rows(main, config)


def _rows(main: str, config: Any) -> list[Argument]:
    """Return a list of vectors: of patches, of embeddings; nothing if their width is not known."""
    if main == "flattened_patches":
        vision = getattr(config, "vision_config", config)
        pixels = _CHANNELS * getattr(vision, "patch_size", _PATCH) ** 2
        values = getattr(vision, "patch_embed_hidden_size", pixels) + 2  # and the row and the column of the patch
        # of ones: a patch of zeros is padding, and a row or column below 0 is none
        return [Argument(TensorInput((1, _PATCHES, values), starts_with=((1, values),)), main)]
    widths = [width for name in _WIDTHS.get(main, ()) if type(width := getattr(config, name, None)) is int]
    return [Argument(TensorInput((1, _DEFAULT_TOKENS, width)), main) for width in widths[:1]]


def _text_inputs(path: str, model: Any, config: Any, construct: Callable[[], nn.Module]) -> list[Argument]:
    """Return tokens, with an image if the model takes one."""
    text, takes = _tokens(path, config, model), inspect.signature(model.forward).parameters
    if "pixel_values" not in takes or not _find(config, "image_size", _IMAGE_PARTS):
        has_image = "pixel_values" in takes and hasattr(config, "vision_config")
    else:
        has_image = True
    if has_image and image_token(config) is not None:
        return list(text_with_image(construct, config, text, _image(path, config)) or [Argument(text, "input_ids")])
    inputs = [Argument(text, "input_ids")]
    if has_image and _find(config, "image_size", _IMAGE_PARTS):
        inputs.append(Argument(_image(path, config), "pixel_values"))
    return inputs


def _patches(main: str, grid: str, path: str, config: Any) -> list[Argument]:
    """Return an image as a list of patches and their grid, as vision towers take it."""
    _, channels, side, _ = _image(path, config).shape
    pixels, cells = patches_of(config, channels, side)
    return [Argument(pixels, main), Argument(cells, grid)]


def left_out(model: Any, given: Collection[str]) -> str:
    """Return the sentence that says that a multimodal model ran its text alone; "" if it did not."""
    takes = inspect.signature(model.forward).parameters
    others = [name for name in ("pixel_values", "input_features", "input_values") if name in takes]
    if "input_ids" not in given or not others or set(given).intersection(others):
        return ""
    kind = "image" if others[0] == "pixel_values" else "sound"
    return f"only the text of {model.__name__} runs: its tokens name no {kind}; --input {others[0]}=SHAPE adds one"


def _tokens(path: str, config: Any, model: Any) -> TensorInput:
    length = _length(path, _find(config, "max_position_embeddings", _TEXT_PARTS))
    return TensorInput((1, max(1, length - _reserved_positions(model, config))), "int64")


def _reserved_positions(model: Any, config: Any) -> int:
    """Return how many positions no token has: RoBERTa and its kin number tokens from the one after the padding's."""
    name = "create_position_ids_from_input_ids"
    module = vars(sys.modules[model.__module__])
    classes = (value for key, value in module.items() if key.endswith("Embeddings"))
    padding = getattr(config, "pad_token_id", None)
    is_offset = name in module or any(hasattr(value, name) for value in classes)
    return padding + 1 if is_offset and type(padding) is int else 0


def _decoder_tokens(path: str, config: Any) -> TensorInput:
    positions = getattr(config, "max_target_positions", None) or getattr(config, "max_position_embeddings", None)
    return TensorInput((1, _length(path, positions)), "int64")


def _length(path: str, positions: Any) -> int:
    if positions in _WITHOUT_LIMIT:
        return _DEFAULT_TOKENS
    if type(positions) is not int or positions < 1:
        msg = f"{path} has max_position_embeddings {quoted(positions)}; write an integer above 0"
        raise TargetError(msg)
    return min(positions, _MAX_TOKENS)


def _image(path: str, config: Any) -> TensorInput:
    size: Any = _find(config, "image_size", _IMAGE_PARTS) or _IMAGE_SIZE
    channels: Any = (
        _find(config, "num_channels", _IMAGE_PARTS) or _find(config, "in_channels", _IMAGE_PARTS) or _CHANNELS
    )
    pair: Any = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)  # noqa: PLR2004
    if not all(type(number) is int and number > 0 for number in (*pair, channels)):
        msg = f"{path} has image_size {quoted(size)} and {quoted(channels)} channels; write integers above 0"
        raise TargetError(msg)
    return TensorInput((1, channels, *pair))


def _find(config: Any, name: str, parts: tuple[str, ...]) -> Any:
    """Return a value of the configuration, or else of the first of its parts that has it; None if none has."""
    for holder in (config, *(getattr(config, part, None) for part in parts)):
        value = getattr(holder, name, None)
        if value is not None:
            return value
    return None
