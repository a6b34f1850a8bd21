"""A busy machine is no fault of a store: in tests it has a minute, unless they are about deadlines."""

import pytest

from langchain_cachemux import LECCache
from langchain_cachemux.keep.shared import connections
from langchain_cachemux.match import index


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = LECCache.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "deadline", 60.0)
    for kind in ("READING", "WRITING"):
        monkeypatch.setattr(connections, kind, 60.0)
    monkeypatch.setattr(index, "PATIENCE", 60.0)
