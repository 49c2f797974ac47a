"""Adapt torchvision's detectors, built without weights, so that they do the same work as trained ones."""

from __future__ import annotations

import torch
from torch import nn

from profiler.targets.optional_imports import load

#: Side of the square image that each model was published with; 800 for the others.
#: Source: https://github.com/pytorch/vision/blob/main/test/test_extended_models.py, detection_models_input_dims.
_SIZES = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320,
    "keypointrcnn_resnet50_fpn": 1333,
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
}
#: Layers that score region proposals and objects, or move their boxes.
_SCORING_LAYERS = ("rpn.head.cls_logits", "rpn.head.bbox_pred", "roi_heads.box_predictor")
#: A logit high enough that its class has nearly all of the probability.
_CONFIDENT_LOGIT = 10.0
TWO_STAGE_NOTE = (
    "untrained weights give arbitrary detections, so every region proposal and every detection is counted, "
    "up to the model's own limits (rpn.post_nms_top_n, roi_heads.detections_per_img)"
)


def image_size(name: str) -> int:
    """Return the side, in pixels, of the square image that a detector was published with."""
    return _SIZES.get(name, 800)


def is_two_stage(name: str) -> bool:
    """Return whether a detector proposes regions first and classifies them in a second stage."""
    return "rcnn" in name


def match_trained(name: str, detector: nn.Module) -> nn.Module:
    """Patch *detector*, in place, so that it does the same amount of work as with trained weights; return it.

    With pretrained weights most builders freeze the backbone's batch norms. A two-stage detector also runs its heads
    once per proposed region; with random weights the number of regions would be arbitrary.
    """
    if not name.startswith("ssd") and not name.endswith("_v2"):
        _freeze_norms(detector.get_submodule("backbone"))
    if is_two_stage(name):
        _accept_all_regions(detector)
    return detector


def _freeze_norms(backbone: nn.Module) -> None:
    """Replace batch norms by frozen ones, whose statistics and weights are buffers."""
    frozen = load("torchvision.ops", "FrozenBatchNorm2d")
    for owner in list(backbone.modules()):
        for name, child in owner.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(owner, name, frozen(child.num_features, child.eps))


def _accept_all_regions(detector: nn.Module) -> None:
    """Make every anchor a proposal and every proposal an object, up to the model's own limits.

    With random weights both numbers would depend on rounding, and so would the work of the heads.
    """
    with torch.no_grad():
        for parameter in (p for path in _SCORING_LAYERS for p in detector.get_submodule(path).parameters()):
            parameter.zero_()
        detector.get_parameter("roi_heads.box_predictor.cls_score.bias")[1] = _CONFIDENT_LOGIT
