"""Drop-in replacements for the entry points of other counters: change one import and keep the code.

    from profiler.compat.thop import profile
    from profiler.compat.ptflops import get_model_complexity_info
    from profiler.compat.fvcore import FlopCountAnalysis
    from profiler.compat.torch import FlopCounterMode

Signatures, result types and units are those of the originals; the numbers come from this package's formulas. Arguments
that register rules for module classes or operators raise ``InputError``, because cost is counted per operator here: use
`profiler.formula` instead.
"""

from importlib import import_module

_PEERS = ("fvcore", "ptflops", "thop", "torch")


def __getattr__(name: str) -> object:
    """Import a submodule on first access."""
    if name not in _PEERS:
        msg = f"module 'profiler.compat' has no attribute {name!r}; it has {', '.join(_PEERS)}"
        raise AttributeError(msg)
    return import_module(f"profiler.compat.{name}")
