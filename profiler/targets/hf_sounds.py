"""Sound as models of transformers take it: spectrograms with the frames first or last, or a waveform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profiler.targets.hf_images import built_on_meta
from profiler.targets.input_tensors import TensorMaker, floating_dtype
from profiler.targets.target import Argument, TensorInput
from profiler.trace.known_values import known_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

#: The frames of a spectrogram and the samples of a second, if the configuration names neither.
_FRAMES, _SAMPLES = 512, 16000
_USUAL_BINS = [80, 128, 160]
#: How many frames a feature extractor may put into one.
_STACKED = (1, 2, 4)
#: What configurations call the bins of a spectrogram.
_BINS = ("num_mel_bins", "n_mels", "mel_bins", "input_feat_per_channel", "feature_size", "input_dim", "num_mels")
_PARTS = ("encoder_config", "audio_config", "speech_config", "audio_encoder_config", "vision_config")


def sound_inputs(name: str, takes: set[str], config: Any, construct: Callable[[], nn.Module]) -> list[Argument]:
    """Return one sound: in the form that the configuration tells, or else in the first with which the model runs.

    Args:
        name: The model's main input, ``input_features`` or ``input_values``.
        takes: The parameters of its forward.
        config: Its configuration.
        construct: Builds the model.
    """
    bins = getattr(config, "num_mel_bins", None)
    if name == "input_values":
        if type(bins) is int and bins:
            return [Argument(TensorInput((1, getattr(config, "max_length", _FRAMES), bins)), name)]
        return _first_that_runs(name, takes, [(1, _SAMPLES), (1, 1, _SAMPLES)], config, construct)
    if type(bins) is int:
        frames = 2 * getattr(config, "max_source_positions", _FRAMES)
        forms = [(1, bins, frames), (1, frames, bins), *((1, frames, bins * n) for n in _STACKED[1:])]
    else:
        counts = _bins(config)
        forms = [form for bins in counts for form in ((1, _FRAMES, bins), (1, bins, 3000), (1, bins, _FRAMES))]
    return _first_that_runs(name, takes, [*forms, (1, _SAMPLES)], config, construct)


def _bins(config: Any) -> list[int]:
    """Return how many bins a spectrogram may have: as the configuration or a part of it says, or else as is usual."""
    holders = (config, *(getattr(config, part, None) for part in _PARTS))
    found = [value for holder in holders for name in _BINS if type(value := getattr(holder, name, None)) is int]
    return [found[0] * stacked for stacked in _STACKED] if found else _USUAL_BINS


def _first_that_runs(
    name: str, takes: set[str], forms: list[tuple[int, ...]], config: Any, construct: Callable[[], nn.Module]
) -> list[Argument]:
    """Return the first form with which the model runs on ``meta``; the first of all if it runs with none."""
    more = {"decoder_input_ids": TensorInput((1, 2), "int64")} if getattr(config, "is_encoder_decoder", False) else {}
    calls = [{name: TensorInput(form)} | {key: value for key, value in more.items() if key in takes} for form in forms]
    model = built_on_meta(construct)
    runs = (form for form, call in zip(forms, calls, strict=True) if model is not None and _runs(model, call))
    return [Argument(TensorInput(next(runs, forms[0])), name)]


def _runs(model: nn.Module, call: dict[str, TensorInput]) -> bool:
    try:
        with torch.inference_mode(), known_values():
            maker = TensorMaker("meta", floating_dtype(model))
            model(**{name: maker.make(Argument(value), name) for name, value in call.items()})
    except Exception:  # noqa: BLE001 - models raise anything for a sound of another form
        return False
    return True
