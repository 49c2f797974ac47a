"""Frozen values that pass between the rooms: records, memory, findings and projections.

Nothing here runs, reads a file or imports torch, so that every value can be saved, loaded and compared without a model.
"""
