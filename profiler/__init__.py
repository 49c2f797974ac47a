"""Count what a live PyTorch model really does, operator by operator.

Example:
    >>> import torch, profiler
    >>> model = torch.nn.Linear(20, 30)
    >>> with profiler.profile(model) as p:
    ...     _ = model(torch.zeros(4, 20))
    >>> p.totals.macs, p.totals.params, p.uncounted
    (2400, 630, ())
"""

from profiler.api import count, profile
from profiler.formulas import formula
from profiler.records import Cost, Shape, TensorSpec
from profiler.tally import Profile, load

__all__ = ["Cost", "Profile", "Shape", "TensorSpec", "count", "formula", "load", "profile"]
