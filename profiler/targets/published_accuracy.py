"""The published accuracy of torchvision's models: the metadata of their weights, which need no download."""

from __future__ import annotations

_TOP_1 = "acc@1"


def published_accuracy(target: str) -> float | None:
    """Return the top-1 accuracy on ImageNet of a model's default weights, in percent; None if none is published.

    Source: ``Weights.meta["_metrics"]`` of the installed torchvision.

    Example:
        >>> published_accuracy("resnet18"), published_accuracy("hf:gpt2")
        (69.758, None)
    """
    from torchvision.models import get_model_weights  # noqa: PLC0415 - torchvision takes seconds to import

    try:
        weights = get_model_weights(target).DEFAULT
    except (ValueError, AttributeError):  # not a name of torchvision, or a model without weights
        return None
    metrics = [found for found in weights.meta.get("_metrics", {}).values() if _TOP_1 in found]
    return float(metrics[0][_TOP_1]) if metrics else None
