"""Imported by a fork server after the packages that it preloads: no process forked from it collects garbage in them.

So the memory of what is preloaded also stays shared: a collection would write to each object.
"""

import gc

gc.freeze()
gc.enable()
