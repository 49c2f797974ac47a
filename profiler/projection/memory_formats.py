"""Which convolutions and resizes read images whose channels lie last in memory, from the data flow of the run.

A tensor ``(N, C, H, W)`` has its channels last if it was written as ``(N, H, W, C)`` or ``(N, tokens, C)`` and then
permuted, or if what wrote it keeps the memory format of its own operand and that has them last. Kernels differ: the
depthwise convolutions of ConvNeXt, whose blocks permute, run on others than those of ConvMixer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.formulas import RuleKind
from profiler.projection.operator_classes import classify
from profiler.values.records import Shape, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.tally import Entry, Profile

#: Classes whose results have the memory format of their operand.
_KEEPING = frozenset({"pointwise", "cast", "batch_norm", "pooling", "average_pooling", "upsample", "copy"})
_IMAGE_DIMS = 4
#: Rows of features: of all images, or of each.
_ROW_DIMS = (2, 3)
_SERIAL = frozenset(
    {"aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_bicubic2d", "aten.upsample_trilinear3d"}
)
#: Copies into the order of the dimensions.
_CONTIGUOUS = ("memory_format", "torch.contiguous_format")

#: The shape as which a storage was written, and whether its channels are last then.
_Written = tuple[Shape, bool]


def channels_last_records(profile: Profile, *, converted: bool = False) -> frozenset[int]:
    """Return the records whose images have their channels last, as indices of ``Profile.entries``.

    There are none without a data flow, and without a depthwise convolution or a resize, whose kernels would differ.

    Args:
        profile: The profile.
        converted: Whether the model was converted to ``torch.channels_last``: its convolutions write that format.
    """
    classes = [classify(entry) for entry in profile.entries]
    if not any(class_.startswith("depthwise") or class_ == "upsample" for class_ in classes):
        return frozenset()
    written: dict[int, _Written] = {}
    found: set[int] = set()
    for step in profile.flow or ():
        entry = profile.entries[step.record]
        if entry.kind == RuleKind.FREE:
            continue
        is_last = _reads_channels_last(entry, step.reads, written)
        if is_last:
            found.add(step.record)
        keeps = _writes_channels_last(entry, classes[step.record], is_last=is_last, converted=converted)
        for storage, spec in zip(step.writes, _results(entry), strict=False):
            written[storage] = (spec, keeps)
    return frozenset(found)


def serial_images(entry: Entry) -> int:
    """Return how many images, of one channel each, a kernel resizes one after another; 0 if it resizes none so.

    The kernels that interpolate have a thread for each position of one resized image. It goes over all channels of all
    samples, and waits for their pixels in memory; where channels are last, kernels have a thread for each element.
    Source: upsample_bilinear2d_out_frame in aten/src/ATen/native/cuda/UpSampleBilinear2d.cu.
    """
    shapes = _results(entry)
    return shapes[0][0] * shapes[0][1] if entry.record.packet in _SERIAL and shapes else 0


def _reads_channels_last(entry: Entry, reads: tuple[int, ...], written: Mapping[int, _Written]) -> bool:
    """Return whether the first image among the operands of a call has its channels last."""
    shapes = [spec.shape for _, value in entry.record.arguments for spec in tensors(value)]
    images = ((shape, storage) for shape, storage in zip(shapes, reads, strict=False) if len(shape) == _IMAGE_DIMS)
    shape, storage = next(images, ((), -1))
    return storage in written and is_channels_last(shape, *written[storage])


def is_channels_last(shape: Shape, as_written: Shape, was_last: bool) -> bool:
    """Return whether an image has its channels last, from the shape as which its storage was written.

    Example:
        >>> is_channels_last((8, 64, 14, 14), (8, 14, 14, 64), False)
        True
        >>> is_channels_last((8, 64, 14, 14), (8, 197, 64), False)
        True
        >>> is_channels_last((8, 64, 14, 14), (8, 64, 14, 14), False)
        False
    """
    _, channels, *sides = shape
    if len(as_written) == _IMAGE_DIMS and [*as_written[2:]] == sides:
        return was_last
    is_permuted = [*as_written[1:3]] == sides if len(as_written) == _IMAGE_DIMS else len(as_written) in _ROW_DIMS
    return is_permuted and as_written[-1] == channels


def _writes_channels_last(entry: Entry, class_: str, *, is_last: bool, converted: bool) -> bool:
    if "conv" in class_ or "depthwise" in class_:
        return is_last or converted
    return is_last and class_ in _KEEPING and _CONTIGUOUS not in entry.record.arguments


def _results(entry: Entry) -> list[Shape]:
    return [spec.shape for value in entry.record.results for spec in tensors(value)]
