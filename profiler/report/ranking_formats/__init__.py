"""Formats of a ranking that draw: one file each."""
