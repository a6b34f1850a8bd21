"""A folder that its owner alone can read, whatever the umask: 0700, and its files 0600."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("ledger.", "shared.", "chroma", "index", "lock", "matching.", "costs.", "multiplexer-", ".")
"""How the names begin of what a cache and a multiplexer keep in a folder."""

log = logging.getLogger(__name__)


def make_private(folder: Path) -> None:
    """Let nobody else read what is kept in a folder; make it when it is missing.

    What else lies in the folder is left alone. Then the folder itself is left as it is too, since others
    may have business there, and only its names can be read. On Windows nothing is changed: what is made
    in a user's folders is the user's there.

    Raises:
        OSError: The folder cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "nt":
        return
    inside = list(folder.iterdir())
    ours = [path for path in inside if path.name.startswith(OURS)]
    alone = len(ours) == len(inside)
    opened = [path for path in _all(*ours, *([folder] if alone else [])) if _closed(path)]
    if folder in opened:
        log.info("%s could be read by others; now its owner alone can", folder)
    if not alone:
        log.info("%s holds other things too, so others can read the names in it", folder)


def _all(*paths: Path) -> Iterator[Path]:
    """These, and what is in those that are folders, but for links."""
    for path in paths:
        yield path
        if path.is_dir() and not path.is_symlink() and path.name == "chroma":
            yield from path.rglob("*")


def _closed(path: Path) -> bool:
    """Close a path to others; whether it was open. What is another's stays as it is.

    What its owner may do stays too: who has made a folder one that is only read has meant it.
    """
    try:
        found = path.lstat()
        if path.is_symlink() or not found.st_mode & 0o077 or found.st_uid != os.geteuid():
            return False
        path.chmod(found.st_mode & 0o700)
    except OSError as error:  # it went away, or the disk can only be read
        log.debug("the mode of %s was not changed: %s", path, error)
        return False
    return True
