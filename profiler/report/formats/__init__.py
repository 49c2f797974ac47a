"""The formats of a profile: one file each, with a function decorated ``@PROFILE_FORMATS.register("name")``."""
