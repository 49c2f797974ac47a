"""``thop.profile``: hooks on the module classes that it has a rule for; work elsewhere is not counted.

Two distributions provide the import ``thop``, and the one installed last is used. The deviations are those of ``thop``;
where ``ultralytics-thop`` differs from it, the difference stays unexplained.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import warnings
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.hook_based import HookCounterModel, MissReason, register_extras
from profiler.peers.emulation.parameters import PARAMETER, new_parameters, num_elements
from profiler.peers.emulation.thop_hooks import EXTRAS, hooks
from profiler.peers.emulation.unfuse import moved_macs, unfused
from profiler.peers.forward_pass import mac_contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

_VERSIONS = "thop 0.1.1"
_RULES = "thop/profile.py: register_hooks"
_CONTAINERS = frozenset({"torch.nn.modules.container.Sequential", "torch.nn.modules.container.ModuleList"})


class _Thop(Peer):
    """A peer that finds out which of its distributions the installed files belong to."""

    @property
    def installed(self) -> tuple[str, str] | None:
        """Name and version of the distribution that wrote the present ``thop/profile.py``; None if there is none."""
        for name in self.distributions:
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue
            if _is_intact(distribution):
                return name, distribution.version
        return None


def _is_intact(distribution: metadata.Distribution) -> bool:
    """Return whether the file has the hash that its distribution recorded: another one can have overwritten it."""
    for file in distribution.files or ():
        if str(file) == "thop/profile.py" and file.hash is not None:
            digest = hashlib.new(file.hash.mode, Path(file.locate()).read_bytes()).digest()
            return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
    return True


PEER = _Thop(
    "thop",
    unit="MAC",
    distributions=("thop", "ultralytics-thop"),
    convention="MACs of the layers that it has a rule for, plus some operations of norms, pools and others.",
)


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Profile one forward pass; thop cannot pass keyword arguments, so they are bound to the model's ``forward``."""
    _provide_distutils()
    from thop import profile  # noqa: PLC0415 - the peer itself

    if kwargs:
        model.forward = partial(model.forward, **kwargs)
    macs, params, layers = profile(model, inputs=args, verbose=False, ret_layer_info=True)
    rows = dict(_rows(layers))
    return PeerResult(macs, {path: n for path, (n, _) in rows.items()}, params, {p: n for p, (_, n) in rows.items()})


def _provide_distutils() -> None:
    """Provide the one class of distutils that thop imports, to compare versions, where Python has it no more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("distutils.version")
    except ModuleNotFoundError:
        from torch.torch_version import TorchVersion  # noqa: PLC0415 - listing the peers needs no torch

        version = ModuleType("distutils.version")
        version.__dict__["LooseVersion"] = TorchVersion
        sys.modules |= {"distutils": ModuleType("distutils"), version.__name__: version}


def _rows(layers: dict[str, Any], parent: str = "") -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the path of each layer in thop's nested dictionary, with its MACs and parameters."""
    for name, (macs, params, children) in layers.items():
        yield f"{parent}{name}", (macs, params)
        yield from _rows(children, f"{parent}{name}.")


def _emulate(forward_pass: ForwardPass) -> HookCounterModel:
    return HookCounterModel(unfused(forward_pass, hooks=True), hooks(), transparent=_CONTAINERS, hooks_each_path=True)


def _missed(forward_pass: ForwardPass, reason: MissReason) -> Iterator[Contribution]:
    """Yield the MACs that no hook counts for one reason."""
    return mac_contributions(entry for why, entry in _emulate(forward_pass).missed() if why is reason)


@PEER.deviates(
    "TH-RULES",
    CauseKind.UNSUPPORTED_MODULE,
    "has no rule for this torch.nn class (MultiheadAttention, Bilinear, …) and counts its work as 0",
    where=_RULES,
    versions=_VERSIONS,
)
def rules(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of ``torch.nn`` layers without a rule."""
    return _missed(forward_pass, MissReason.NO_RULE)


@PEER.deviates(
    "TH-SUBCLASS",
    CauseKind.SUBCLASS,
    "looks up the exact class: a subclass of a supported layer counts as 0",
    where="thop/profile.py: add_hooks (m_type in register_hooks)",
    versions=_VERSIONS,
)
def subclasses(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of modules whose class inherits from one with a rule."""
    return _missed(forward_pass, MissReason.SUBCLASS)


@PEER.deviates(
    "TH-FUNCTIONAL",
    CauseKind.FUNCTIONAL,
    "hooks modules only: functions that the model's own code calls (F.linear, matmul, attention, …) count as 0",
    where="thop/profile.py: add_hooks",
    versions=_VERSIONS,
)
def functional(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of functions that are called outside the layers of ``torch.nn``."""
    return _missed(forward_pass, MissReason.FUNCTIONAL)


@PEER.deviates(
    "TH-FASTPATH",
    CauseKind.FUSED,
    "hooks the layers inside an encoder layer, so they run one by one; in our run they are one fused operator",
    where="thop/profile.py: add_hooks",
    versions=_VERSIONS,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to the layers inside it."""
    return moved_macs(forward_pass, hooks=True)


register_extras(PEER, EXTRAS, _emulate, _VERSIONS)


@PEER.deviates(
    "TH-ALIAS",
    CauseKind.ALIAS,
    "hooks a shared module once for each of its names, and adds the count of all these hooks under every name",
    where="thop/profile.py: add_hooks, dfs_count",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract what is counted more than once for a shared module."""
    return _emulate(forward_pass).alias()


@PEER.deviates(
    "TH-PARAMS",
    CauseKind.PARAMETERS,
    "counts only the parameters of modules with a rule (not Embedding or quantized layers), and not those of the root",
    where="thop/profile.py: count_parameters is hooked beside a rule; dfs_count starts at 0",
    versions=_VERSIONS,
    quantity="params",
)
def params_without_rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the parameters of the root and of modules without a rule."""
    counted = _emulate(forward_pass).counted
    return (
        Contribution(path, PARAMETER, num_elements(params))
        for path, _, params in new_parameters(forward_pass)
        if not path or path not in counted
    )


@PEER.deviates(
    "TH-PARAMS-UNCALLED",
    CauseKind.PARAMETERS,
    "counts the parameters of a module when it is called: those of a module that is never called count as 0",
    where="thop/vision/basic_hooks.py: count_parameters",
    versions=_VERSIONS,
    quantity="params",
)
def params_uncalled(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the parameters of modules that were not called."""
    emulation = _emulate(forward_pass)
    return (
        Contribution(path, PARAMETER, num_elements(params))
        for path, facts, params in new_parameters(emulation.forward_pass)
        if path and path in emulation.counted and not facts.calls
    )


@PEER.deviates(
    "TH-PARAMS-SHARED",
    CauseKind.ALIAS,
    "counts a shared parameter again for every module, and every name of a module, that holds it",
    where="thop/profile.py: dfs_count",
    versions=_VERSIONS,
    quantity="params",
)
def params_shared(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the parameters that an earlier path holds too."""
    emulation = _emulate(forward_pass)
    for path, facts, params in new_parameters(emulation.forward_pass):
        if path and path in emulation.counted and facts.calls:
            yield Contribution(path, PARAMETER, num_elements(params) - num_elements(facts.params))
