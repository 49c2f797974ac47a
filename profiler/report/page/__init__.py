"""The report as a page for a browser: one file that opens offline.

``data`` reduces a ``Report`` to a small table for the page's scripts, ``render`` fills the template with it. The
scripts in ``scripts/`` are plain JavaScript, one idea each; they are joined and inlined, and draw with plotly, whose
own script goes in compressed. Nothing is imported here: other formats use single files of this folder.
"""
