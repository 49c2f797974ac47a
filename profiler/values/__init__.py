"""Frozen values that pass between packages: operator records, memory, findings and projections.

Nothing here runs a model, reads a file or imports torch, so that every value can be saved, loaded and compared without
a model.
"""
