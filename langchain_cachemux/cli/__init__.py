"""The command line."""

from __future__ import annotations

import sys

from langchain_cachemux.extras import needs


def main() -> None:
    """Run `cachemux`; what is wrong is told in one line on stderr, with exit code 2."""
    try:
        needs("typer", "rich", extra="cli", purpose="the command line")
        from langchain_cachemux.cli.app import app

        app()
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"error: {_in_words(error)}\n")
        raise SystemExit(2) from None


def _in_words(error: Exception) -> str:
    """What is wrong; of an error of the system, the file first and no number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return str(error)
