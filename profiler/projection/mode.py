"""How a model runs on a device: the modes of an estimate."""

from __future__ import annotations

from typing import Literal, get_args

#: ``eager`` runs one kernel per operator. ``compiled`` merges elementwise operators and reductions, as
#: ``torch.compile`` does. ``deployed`` also folds batch norms and merges elementwise operators into products, as
#: TensorRT does.
Mode = Literal["eager", "compiled", "deployed"]
MODES: tuple[Mode, ...] = get_args(Mode)
#: What a pass is: a forward, or a step of training.
Step = Literal["inference", "training"]
