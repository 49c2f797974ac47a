"""The peers: one file per tool, which creates its ``Peer``, runs the tool, and lists its known deviations."""
