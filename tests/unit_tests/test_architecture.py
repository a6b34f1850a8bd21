"""The map in ARCHITECTURE.md is the territory: its files are those of the package, on their floors."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w/]+\.py)` \| .+ \| (\d+) \|$", re.MULTILINE)
MAP = {
    path: int(floor) for path, floor in ROW.findall((ROOT / "ARCHITECTURE.md").read_text("utf-8"))
}
LAYERS = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    if contract["type"] == "layers"
)


def test_every_file_of_the_package_is_on_the_map_and_no_other():
    package = ROOT / "langchain_cachemux"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert set(MAP) == {path for path in files if not path.endswith("__init__.py")}


def test_the_floors_of_the_map_are_those_that_are_enforced():
    floors = {
        name.strip(): len(LAYERS) - place
        for place, layer in enumerate(LAYERS)
        for name in re.split(r"[|:]", layer)
    }
    on_map = {path.partition("/")[0].removesuffix(".py"): floor for path, floor in MAP.items()}
    assert on_map == floors
    assert all(on_map[path.partition("/")[0].removesuffix(".py")] == f for path, f in MAP.items())
