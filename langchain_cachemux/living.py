"""Things that hold locks, connections and what was learned: whoever copies one shares all that.

A pickle of such a thing is its name, and only the process in which it lives finds it by that. So
`copy.deepcopy` and `model_copy(deep=True)` work of whatever holds one, and so does a pickle that stays
at home. In another process, or once the thing is gone, unpickling says so.
"""

from __future__ import annotations

import os
from pickle import UnpicklingError
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

_THINGS: WeakValueDictionary[str, Any] = WeakValueDictionary()
_NAMES: dict[int, str] = {}
"""By `id`, which Python uses again."""


def pickled(thing: object) -> tuple[Any, tuple[str, str]]:
    """Return what `__reduce__` is to return."""
    name = _NAMES.get(id(thing), "")
    if _THINGS.get(name) is not thing:
        name = _NAMES[id(thing)] = uuid4().hex
        _THINGS[name] = thing
    return found, (name, type(thing).__name__)


def found(name: str, kind: str) -> Any:
    """Return the thing that goes by a name.

    Raises:
        UnpicklingError: It lives in another process, or no longer.
    """
    thing = _THINGS.get(name)
    if thing is None:
        msg = (
            f"this {kind} was pickled in another process, or is gone: it holds locks, connections and "
            f"what it learned, which no pickle can; make one here (process {os.getpid()})"
        )
        raise UnpicklingError(msg)
    return thing
