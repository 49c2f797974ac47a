"""YOLO11 as ``ultralytics`` builds it, without weights: the models of ``docs/measured/ultralytics-jetson-orin.csv``.

pip install ultralytics
python -m profiler benchmarks/yolo.py:yolo11n --input 3x640x640
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def yolo11n() -> nn.Module:
    """Return the smallest of the five."""
    return _detector("n")


def yolo11s() -> nn.Module:
    """Return the small one."""
    return _detector("s")


def yolo11m() -> nn.Module:
    """Return the one in the middle."""
    return _detector("m")


def yolo11l() -> nn.Module:
    """Return the large one."""
    return _detector("l")


def yolo11x() -> nn.Module:
    """Return the largest."""
    return _detector("x")


def _detector(scale: str) -> nn.Module:
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(cfg=f"yolo11{scale}.yaml", verbose=False).eval()
