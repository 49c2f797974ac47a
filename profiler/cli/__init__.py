"""The command line: results on stdout, notes on stderr, and an exit status.

0 success · 1 a check failed · 2 the command or a file is wrong · 3 the model itself failed ·
4 profiler itself failed · 130 interrupted · 143 terminated.
"""

from profiler.cli.app import main

__all__ = ["main"]
