"""Write the demo's table into the README, from its committed result.

python benchmarks/readme_table.py            # rewrite README.md from benchmarks/results/demo.json
python benchmarks/readme_table.py --check    # fail when they differ
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_cachemux.cli.app import COLUMNS, rows

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- demo table -->\n", "<!-- end of demo table -->"


def table(report: dict) -> str:
    """The result's rows in Markdown."""
    lines = [COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows(report)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Rewrite the README, or compare."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    report = json.loads((ROOT / "benchmarks/results/demo.json").read_text(encoding="utf-8"))
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    new = text[:before] + table(report) + text[after:]
    if "--check" in sys.argv:
        if new != text:
            sys.exit("README.md is not what benchmarks/results/demo.json says; run this script")
        return
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
