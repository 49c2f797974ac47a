"""The formulas: one file per operator family, one function per operator or class of operators."""
