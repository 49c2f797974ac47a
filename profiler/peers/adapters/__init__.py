"""The peers: one file per tool, which defines its ``PEER``, runs the tool, and registers its known deviations."""
