"""The formats of a profile: one file per format, with a function decorated ``@report_format("name")``."""
