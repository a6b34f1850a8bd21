"""A busy machine is no fault of a store: in tests it has a minute, unless they are about deadlines."""

import pytest

from langchain_cachemux import LECCache


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = LECCache.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "deadline", 60.0)
