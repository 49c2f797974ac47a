"""From a profile to text: one file a format, and every format reads the same ``Report``.

To add a format, write a file here with a function decorated ``@report_format("name")``.
"""

from profiler.report.registry import formats, render, report_format
from profiler.report.report import Report

__all__ = ["Report", "formats", "render", "report_format"]
