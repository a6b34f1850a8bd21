"""`cachemux doctor`: the facts that a report of a fault needs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import TYPE_CHECKING

from langchain_cachemux.cli.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "langchain-cachemux"


def doctor() -> None:
    """Print the facts that a report of a fault needs.

    Versions, extras, encoder and platform; nothing is sent, and no model is loaded.
    """
    for line in facts():
        console().print(line, markup=False, highlight=False)


def facts() -> Iterator[str]:
    """Each fact in a line."""
    yield f"{PACKAGE} {version(PACKAGE)}"
    yield f"Python {platform.python_version()} ({platform.python_implementation()})"
    yield f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"
    extras = set(metadata(PACKAGE).get_all("Provides-Extra") or ()) - {"all", "dev"}
    for name in ("", *sorted(extras)):
        yield installed(name)
    from langchain_cachemux.read.encoder import NAME, weights_found

    yield f"encoder {NAME}: weights {weights_found()}"


def installed(extra: str) -> str:
    """What is installed of the packages that everything needs, or of an extra."""
    found, missing = [], []
    for name in _asked(extra):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    title = f"extra {extra}" if extra else "always"
    lacking = [f"not installed: {', '.join(missing)}"] if missing else []
    return f"{title}: {'; '.join([*filter(None, [', '.join(found)]), *lacking])}"


def _asked(extra: str) -> list[str]:
    """The packages that an extra brings beside those that are always there."""
    from packaging.requirements import Requirement

    asked = []
    for text in requires(PACKAGE) or ():
        wanted = Requirement(text)
        named = wanted.marker is not None and "extra" in str(wanted.marker)
        holds = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        if holds and named == bool(extra) and wanted.name != PACKAGE:
            asked.append(wanted.name)
    return asked
