"""The sources of models, one file each; every file ends in ``register(Source(...))``."""
