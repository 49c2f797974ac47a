"""Helpers that do not depend on models: autoloading, TOML, atomic writes, processes, timing."""
