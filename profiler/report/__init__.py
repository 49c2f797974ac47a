"""From results to text. Every format of a profile reads the same ``Report``.

To add a format of profiles, write a file in ``formats/`` with a function decorated
``@PROFILE_FORMATS.register("name")``; to add one for the results of ``profiler check``, a file in ``check_formats/``.
The command line offers it at once.
"""

from profiler.report.profile_formats import PROFILE_FORMATS, render
from profiler.report.report import DEPTH, Report
from profiler.report.rich_report import RichReport

__all__ = ["DEPTH", "PROFILE_FORMATS", "Report", "RichReport", "render"]
