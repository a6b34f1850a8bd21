"""Where the results lie, and how they are written and read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def write(path: Path, result: object) -> None:
    """Write a result as JSON, a list of numbers on one line; its folder is made if it is not there."""
    text = json.dumps(result, indent=1, ensure_ascii=False)
    numbers = re.compile(
        r"\[\n([-+.\deE,\s]*?)\n\s*\]"
    )  # a line end within a string is written \\n
    text = numbers.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Read what `write` wrote."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result
