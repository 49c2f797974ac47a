"""The peers' own entry points on this engine: change one import, keep the code, get the right numbers.

    from profiler.compat.thop import profile
    from profiler.compat.ptflops import get_model_complexity_info
    from profiler.compat.fvcore import FlopCountAnalysis
    from profiler.compat.torch import FlopCounterMode

Arguments, result types and units are those of the originals. Where an argument hands over a rule for a class of modules
or an operator it is refused, since operators are counted here: register a formula with ``profiler.formula`` instead.
"""

from importlib import import_module

_PEERS = ("fvcore", "ptflops", "thop", "torch")


def __getattr__(name: str) -> object:
    """Import a peer's entry points when they are first asked for."""
    if name not in _PEERS:
        msg = f"module 'profiler.compat' has no attribute {name!r}; it has {', '.join(_PEERS)}"
        raise AttributeError(msg)
    return import_module(f"profiler.compat.{name}")
