"""Hypothesis on a shared machine: few examples, and no clock to fail by; and no test leads another's."""

import pytest
from hypothesis import HealthCheck, settings

from langchain_cachemux import Reader, flight
from langchain_cachemux.referee import Referee
from langchain_cachemux.rewriting import Rewriter

settings.register_profile(
    "modest", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("modest")


@pytest.fixture(autouse=True)
def _nothing_is_led_here():
    """All tests run in one context, and some leave a flight that they began."""
    flight._LED.set(())


@pytest.fixture(autouse=True)
def _waited_for(monkeypatch):
    """As for a folder: who is asked has a minute, unless a test is about deadlines."""
    for asked in (Reader, Referee, Rewriter):
        monkeypatch.setitem(asked.__init__.__kwdefaults__, "deadline", 60.0)
