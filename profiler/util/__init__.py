"""Helpers that know nothing of models: importing catalogues, reading TOML, writing files, starting processes."""
