"""Formulas of operators, one file per family."""
