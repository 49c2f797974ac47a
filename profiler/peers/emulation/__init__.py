"""How peers count: their hooks, patched functions and handlers, applied to what we recorded of a forward pass.

The adapters compute the sizes of deviations with these.
"""
