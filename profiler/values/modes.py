"""How a model runs on a device: the modes of an estimate."""

from __future__ import annotations

from typing import Literal, get_args

#: ``eager`` runs one kernel per operator, and ``channels_last`` too, with the model and its images in that memory
#: format. ``compiled`` merges elementwise operators and reductions, as ``torch.compile`` does. ``deployed`` also folds
#: batch norms and merges elementwise operators into products, as TensorRT does.
Mode = Literal["eager", "channels_last", "compiled", "deployed"]
#: The modes in which operators are not merged.
UNMERGED: frozenset[Mode] = frozenset({"eager", "channels_last"})
MODES: tuple[Mode, ...] = get_args(Mode)
#: What a pass is: a forward, or a step of training.
Step = Literal["inference", "training"]
