"""Imported by a fork server after the packages that it preloads: no process forked from it collects garbage in them.

So the memory of what is preloaded also stays shared: a collection would write to each object. Only the last collection
of the server itself finds everything, since packages bound by nanobind report what it does not find.
"""

import atexit
import gc

gc.freeze()
gc.enable()
atexit.register(gc.unfreeze)
