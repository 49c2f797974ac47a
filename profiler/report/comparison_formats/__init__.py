"""Formats of a comparison of models that draw: one file each."""
