"""A results file says what made it."""

import json
import platform
from datetime import UTC, datetime, timedelta

import pytest

from langchain_cachemux.lab.stamp import stamp


def test_a_stamp_says_command_date_machine_and_versions_as_plain_data():
    made = stamp("python benchmarks/one.py --seeds 3", "numpy", "no-such-package", seeds=range(3))
    assert json.loads(json.dumps(made)) == made
    assert list(made) == ["command", "date", "machine", "versions", "seeds"]
    assert made["command"] == "python benchmarks/one.py --seeds 3"
    assert made["seeds"] == [0, 1, 2]
    assert datetime.now(UTC) - datetime.fromisoformat(made["date"]) < timedelta(minutes=1)
    assert platform.machine() in made["machine"]
    assert list(made["versions"]) == ["python", "langchain-cachemux", "numpy", "no-such-package"]
    assert made["versions"]["python"] == platform.python_version()
    assert made["versions"]["no-such-package"] is None
    assert all(made["versions"][name] for name in ("langchain-cachemux", "numpy"))


@pytest.mark.parametrize(("seeds", "said"), [(None, {}), (200, {"seeds": 200})])
def test_seeds_are_said_where_there_are_any(seeds, said):
    made = stamp("a command", seeds=seeds)
    assert {name: made[name] for name in made if name == "seeds"} == said
