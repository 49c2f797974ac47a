"""The pytest plugin: the fixture ``profile_model`` and the marker ``flop_budget``."""
