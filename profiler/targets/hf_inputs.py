"""Inputs of transformers' models, derived from their configurations: text, images, spectrograms and waveforms."""

from __future__ import annotations

import inspect
from typing import Any

from profiler.errors import TargetError
from profiler.escaping import quoted
from profiler.targets.target import Argument, TensorInput

#: Tokens of the default input: this many if the configuration names no maximum, and never more than the limit.
_DEFAULT_TOKENS, _MAX_TOKENS = 512, 2048
#: The image of a model of any size, and the samples of a second of audio, as most are trained.
_IMAGE_SIZE, _CHANNELS, _SAMPLES = 224, 3, 16000
#: Parts of a configuration that may have the size of the text, or of the image.
_TEXT_PARTS, _IMAGE_PARTS = ("text_config", "decoder"), ("vision_config", "encoder", "backbone_config")
_WITHOUT_LIMIT = (-1, None)


def default_inputs(path: str, model: Any, config: Any) -> tuple[Argument, ...]:
    """Return the inputs of one call of a model, with a batch of 1; none if they cannot be derived.

    Args:
        path: The configuration file, for messages.
        model: The class of the model.
        config: Its configuration.

    Raises:
        TargetError: The length or the size that the configuration names is not a number above 0.
    """
    takes = set(inspect.signature(model.forward).parameters)
    match model.main_input_name:
        case "input_ids":
            inputs = [Argument(_tokens(path, config), "input_ids")]
            if "pixel_values" in takes and not _has_image_tokens(config) and _find(config, "image_size", _IMAGE_PARTS):
                inputs.append(Argument(_image(path, config), "pixel_values"))
        case "pixel_values":
            inputs = [Argument(_image(path, config), "pixel_values")]
            if "input_ids" in takes and hasattr(config, "text_config"):
                inputs.append(Argument(_tokens(path, config), "input_ids"))
        case "input_features" if type(bins := getattr(config, "num_mel_bins", None)) is int:
            frames = 2 * getattr(config, "max_source_positions", _DEFAULT_TOKENS)
            inputs = [Argument(TensorInput((1, bins, frames)), "input_features")]
        case "input_values" if type(bins := getattr(config, "num_mel_bins", None)) is int and bins:
            frames = getattr(config, "max_length", _DEFAULT_TOKENS)
            inputs = [Argument(TensorInput((1, frames, bins)), "input_values")]
        case "input_values":
            inputs = [Argument(TensorInput((1, _SAMPLES)), "input_values")]
        case "inputs" if type(width := getattr(config, "d_model", None)) is int:
            inputs = [Argument(TensorInput((1, _DEFAULT_TOKENS, width)), "inputs")]
        case _:
            return ()
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        inputs.append(Argument(_decoder_tokens(path, config), "decoder_input_ids"))
    return tuple(inputs)


def missing_inputs(model: Any, inputs: tuple[Argument, ...]) -> str:
    """Return the sentence that says that a multimodal model ran its text alone; "" if it did not."""
    takes, given = inspect.signature(model.forward).parameters, {argument.name for argument in inputs}
    left_out = [name for name in ("pixel_values", "input_features", "input_values") if name in takes]
    if "input_ids" not in given or not left_out or given.intersection(left_out):
        return ""
    return f"only the text of {model.__name__} runs: its tokens name no image; --input {left_out[0]}=SHAPE adds one"


def _tokens(path: str, config: Any) -> TensorInput:
    return TensorInput((1, _length(path, _find(config, "max_position_embeddings", _TEXT_PARTS))), "int64")


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


def _has_image_tokens(config: Any) -> bool:
    """Return whether images stand in the text, at tokens of their own."""
    return any(getattr(config, name, None) is not None for name in ("image_token_id", "image_token_index"))


def _find(config: Any, name: str, parts: tuple[str, ...]) -> Any:
    """Return a value of the configuration, or else of the first of its parts that has it; None if none has."""
    for holder in (config, *(getattr(config, part, None) for part in parts)):
        value = getattr(holder, name, None)
        if value is not None:
            return value
    return None
