"""What a results file says of its making: command, date, machine, versions and seeds."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "langchain-cachemux"


def stamp(command: str, *packages: str, seeds: int | Sequence[int] | None = None) -> dict[str, Any]:
    """Return where a result comes from, as plain data to stand first in its file.

    Args:
        command: What makes it again.
        packages: Those whose versions may show in it, besides Python and this one.
        seeds: How many, or which; left out where nothing is drawn.
    """
    made: dict[str, Any] = {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in (PACKAGE, *packages)},
    }
    if seeds is not None:
        made["seeds"] = seeds if isinstance(seeds, int) else list(seeds)
    return made


def _version(name: str) -> str | None:
    """Of an installed package; None when it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
