"""The command line: words in; text on stdout, notes on stderr, and an exit status out.

0 well · 1 a check failed · 2 the call or a file is wrong · 3 the model itself failed.
"""

from profiler.cli.app import main

__all__ = ["main"]
