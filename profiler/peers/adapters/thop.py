"""``thop.profile``: a hook on each module of a class that it knows; what runs anywhere else is not seen.

Two distributions have this import name, and the one that was installed last answers. The departures are those of
``thop``; of ``ultralytics-thop``, which shares most of them, what is different is left as a rest.
"""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.hook_based import HookCounterModel, MissReason, enter
from profiler.peers.emulation.parameters import PARAMETER, holdings, size
from profiler.peers.emulation.thop_hooks import EXTRAS, HOOKS
from profiler.peers.emulation.unfuse import moved_macs, unfused
from profiler.peers.forward_pass import macs
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

_SEEN = "thop 0.1.1"
_RULES = "thop/profile.py: register_hooks"
_OPEN = ("torch.nn.modules.container.Sequential", "torch.nn.modules.container.ModuleList")


class _Thop(Peer):
    """Looks which of the distributions the installed files are from."""

    @property
    def installed(self) -> tuple[str, str] | None:
        """The distribution whose ``thop/profile.py`` is the one that lies there, with its version."""
        for name in self.distributions:
            try:
                found = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue
            if _is_in_place(found):
                return name, found.version
        return None


def _is_in_place(found: metadata.Distribution) -> bool:
    """Say whether a distribution's files are as it installed them, and not overwritten by another's."""
    for file in found.files or ():
        if str(file) == "thop/profile.py" and file.hash is not None:
            digest = hashlib.new(file.hash.mode, Path(file.locate()).read_bytes()).digest()
            return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
    return True


PEER = _Thop(
    "thop",
    unit="MAC",
    distributions=("thop", "ultralytics-thop"),
    convention="MACs of the layers that it has a rule for, and beside them some operations of norms, pools and others.",
)


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Profile one forward pass; keyword arguments, which thop cannot pass, are bound to the model before."""
    from thop import profile  # noqa: PLC0415 - the peer itself

    if kwargs:
        model.forward = partial(model.forward, **kwargs)
    operations, params, layers = profile(model, inputs=args, verbose=False, ret_layer_info=True)
    rows = dict(_rows(layers))
    return PeerResult(
        operations, {p: ops for p, (ops, _) in rows.items()}, params, {p: n for p, (_, n) in rows.items()}
    )


def _rows(layers: dict[str, Any], above: str = "") -> Iterator[tuple[str, tuple[float, float]]]:
    for name, (operations, params, below) in layers.items():
        yield f"{above}{name}", (operations, params)
        yield from _rows(below, f"{above}{name}.")


def _hooked(forward_pass: ForwardPass) -> HookCounterModel:
    return HookCounterModel(unfused(forward_pass, hooks=True), HOOKS, open=frozenset(_OPEN), hooks_each_name=True)


def _left_out(forward_pass: ForwardPass, reason: MissReason) -> Iterator[Contribution]:
    return macs(entry for why, entry in _hooked(forward_pass).missed() if why is reason)


@PEER.deviates(
    "TH-RULES",
    CauseKind.UNSUPPORTED_MODULE,
    "has no rule for this class of torch.nn (MultiheadAttention, Bilinear …): all its work is left out",
    where=_RULES,
    seen=_SEEN,
)
def rules(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of torch's own layers for which there is no rule."""
    return _left_out(forward_pass, MissReason.NO_RULE)


@PEER.deviates(
    "TH-SUBCLASS",
    CauseKind.SUBCLASS,
    "compares the class itself: a layer that inherits from one with a rule is left out",
    where="thop/profile.py: add_hooks (m_type in register_hooks)",
    seen=_SEEN,
)
def subclasses(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of modules of a class that inherits from one with a rule."""
    return _left_out(forward_pass, MissReason.SUBCLASS)


@PEER.deviates(
    "TH-FUNCTIONAL",
    CauseKind.FUNCTIONAL,
    "hooks modules alone: what a model's own code computes (F.linear, matmul, attention …) is left out",
    where="thop/profile.py: add_hooks",
    seen=_SEEN,
)
def functional(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of functions that are called outside any layer that torch defines."""
    return _left_out(forward_pass, MissReason.FUNCTIONAL)


@PEER.deviates(
    "TH-FASTPATH",
    CauseKind.FUSED,
    "hooks the layers of an encoder layer, which therefore run one by one, where we saw one operator",
    where="thop/profile.py: add_hooks",
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to its layers."""
    return moved_macs(forward_pass, hooks=True)


enter(PEER, EXTRAS, _hooked, _SEEN)


@PEER.deviates(
    "TH-ALIAS",
    CauseKind.ALIAS,
    "hooks a module once for each of its names, and adds all that these counted at every one of them",
    where="thop/profile.py: add_hooks, dfs_count",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off what a shared module is counted more than once."""
    return _hooked(forward_pass).alias()


@PEER.deviates(
    "TH-PARAMS",
    CauseKind.PARAMETERS,
    "counts parameters only where it has a rule, and not the root's: not those of Embedding or quantized layers",
    where="thop/profile.py: count_parameters is hooked beside a rule; dfs_count starts at 0",
    seen=_SEEN,
    quantity="params",
)
def params_without_rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what the root and the modules without a rule hold."""
    counted = _hooked(forward_pass).counted
    return (
        Contribution(path, PARAMETER, size(new))
        for path, _, new in holdings(forward_pass)
        if not path or path not in counted
    )


@PEER.deviates(
    "TH-PARAMS-UNCALLED",
    CauseKind.PARAMETERS,
    "counts the parameters of a module when it is called: one that is not has none",
    where="thop/vision/basic_hooks.py: count_parameters",
    seen=_SEEN,
    quantity="params",
)
def params_uncalled(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what modules hold that were not called."""
    hooked = _hooked(forward_pass)
    return (
        Contribution(path, PARAMETER, size(new))
        for path, facts, new in holdings(hooked.forward_pass)
        if path and path in hooked.counted and not facts.calls
    )


@PEER.deviates(
    "TH-PARAMS-SHARED",
    CauseKind.ALIAS,
    "counts a parameter once more for every module, and every name of a module, that holds it",
    where="thop/profile.py: dfs_count",
    seen=_SEEN,
    quantity="params",
)
def params_shared(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off what was met before."""
    hooked = _hooked(forward_pass)
    for path, facts, new in holdings(hooked.forward_pass):
        if path and path in hooked.counted and facts.calls:
            yield Contribution(path, PARAMETER, size(new) - size(facts.params))
