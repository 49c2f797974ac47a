"""Check a file of ``torch.export.save`` before torch loads it: loading must read data and run no code.

torch's loader unpickles objects, imports modules that the program names, evaluates its symbolic expressions and
generates Python code from its names. Each of these is checked here; what is not known to be harmless is refused.
"""

from profiler.targets.exported.archive import check_exported_program

__all__ = ["check_exported_program"]
