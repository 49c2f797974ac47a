"""The report as a page for a browser: one file that opens offline.

``page_data`` reduces a ``Report`` to a small table for the page's scripts, ``render_page`` fills the template with it.
The scripts in ``scripts/`` are plain JavaScript, one idea each; they are joined and inlined, and draw with plotly,
whose own script goes in compressed.
"""

from profiler.report.page.data import page_data
from profiler.report.page.render import render_page

__all__ = ["page_data", "render_page"]
