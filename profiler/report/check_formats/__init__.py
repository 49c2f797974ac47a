"""The formats of ``profiler check``: one file each, with a function decorated ``@CHECK_FORMATS.register("name")``."""
