"""Hypothesis on a machine that is busy: how long an example takes is not what is tested."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
