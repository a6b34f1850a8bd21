"""Hypothesis on a shared machine: few examples, and no clock to fail by."""

from hypothesis import settings

settings.register_profile("modest", deadline=None, max_examples=50)
settings.load_profile("modest")
