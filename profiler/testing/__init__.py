"""What pytest users get: the fixture ``profile_model`` and the marker ``flop_budget``."""
