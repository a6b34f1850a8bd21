"""Hypothesis on a shared machine: few examples, and no clock to fail by; and no test leads another's."""

import pytest
from hypothesis import settings

from langchain_cachemux import flight

settings.register_profile("modest", deadline=None, max_examples=50)
settings.load_profile("modest")


@pytest.fixture(autouse=True)
def _nothing_is_led_here():
    """All tests run in one context, and some leave a flight that they began."""
    flight._LED.set(())
