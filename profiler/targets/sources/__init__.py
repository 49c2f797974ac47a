"""Where models come from: one file per source, which ends in ``register(Source(...))``."""
