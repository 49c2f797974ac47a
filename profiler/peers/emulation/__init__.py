"""Models of how peers count: their hooks, patched functions, handlers and formulas, applied to our recorded calls.

The adapters compute the amounts of deviations with them. ``jit_trace`` and ``ptflops_entry_point`` also hold the code
that two adapters need to run their tools.
"""
