"""What a log says of an error: what it is and where it was raised, and no word of what was asked.

An error's message is its author's. That of an embedder, a judge or a parser may well quote the text that
it could not do with, a prompt or an answer, and logs are read by more people than prompts are. So only
messages are told that speak of the machine (a full disk, a refused connection), and of those of this
package what comes before the thing that was given.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path

MACHINES = (OSError, ArithmeticError, MemoryError, ImportError)
"""Errors whose messages are about the machine; so are those of sqlite3."""
_GIVEN = re.compile(r", got |: ")
"""After which a message of this package says what was given, or repeats another's."""
_OWN = Path(__file__).parent


def loggable(error: BaseException) -> str:
    """Return an error as it may be logged: its type, and its message or its place."""
    kind = type(error).__name__
    of_database = getattr(
        error, "orig", None
    )  # SQLAlchemy's quotes the statement and its parameters
    if isinstance(of_database, Exception):
        lines = str(of_database).splitlines()  # further lines of PostgreSQL's quote the row
        return f"{kind}({lines[0] if lines else type(of_database).__name__!r})"
    place = traceback.extract_tb(error.__traceback__)[-1:]
    own = bool(place) and Path(place[0].filename).is_relative_to(_OWN)
    if isinstance(error, MACHINES) or type(error).__module__ == "sqlite3":
        return f"{kind}({error})"
    if own:
        return f"{kind}({_GIVEN.split(str(error), maxsplit=1)[0]})"
    return f"{kind} at {Path(place[0].filename).name}:{place[0].lineno}" if place else kind
