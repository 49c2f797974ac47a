"""What torchvision's detectors need so that their numbers mean something without trained weights."""

from __future__ import annotations

import torch
from torch import nn

from profiler.targets.optional_imports import load

#: Height and width that each model was published with; 800 for the others.
#: Source: https://github.com/pytorch/vision/blob/main/test/test_extended_models.py, detection_models_input_dims.
_SIZES = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320,
    "keypointrcnn_resnet50_fpn": 1333,
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
}
#: Layers that score and move regions.
_SILENT = ("rpn.head.cls_logits", "rpn.head.bbox_pred", "roi_heads.box_predictor")
#: A logit by which one class is all but certain.
_CERTAIN = 10.0
TWO_STAGES = (
    "untrained weights find nothing in particular, so every region and object that the model lets through is counted, "
    "up to its own limits (rpn.post_nms_top_n, roi_heads.detections_per_img)"
)


def image_size(name: str) -> int:
    """Give the side of the square image that a detector was published with."""
    return _SIZES.get(name, 800)


def is_two_stage(name: str) -> bool:
    """Say whether a detector looks again at the regions that it proposed."""
    return "rcnn" in name


def finish(name: str, detector: nn.Module) -> nn.Module:
    """Make of a detector that was built without weights the one that has them, as far as its work depends on it."""
    if not name.startswith("ssd") and not name.endswith("_v2"):
        _freeze_norms(detector.get_submodule("backbone"))
    if is_two_stage(name):
        _let_all_through(detector)
    return detector


def _freeze_norms(backbone: nn.Module) -> None:
    """Replace batch norms by frozen ones, whose statistics and weights are buffers."""
    frozen = load("torchvision.ops", "FrozenBatchNorm2d")
    for owner in list(backbone.modules()):
        for name, child in owner.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(owner, name, frozen(child.num_features, child.eps))


def _let_all_through(detector: nn.Module) -> None:
    """Make every anchor a proposal, and every proposal an object.

    With random weights the number of either is an accident of rounding, and so would be the work of the heads.
    """
    with torch.no_grad():
        for parameter in (p for path in _SILENT for p in detector.get_submodule(path).parameters()):
            parameter.zero_()
        detector.get_parameter("roi_heads.box_predictor.cls_score.bias")[1] = _CERTAIN
