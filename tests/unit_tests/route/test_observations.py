"""A file of observations: every line whole, whoever writes it, and read as it was written."""

import json
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_cachemux.route.observations import Observations, observed

LINE = {
    "time": 1.5,
    "key": "k",
    "text": "Is 91 prime?",
    "model": "small",
    "cost": 2.0,
    "failed": 1.0,
    "source": "judge",
    "reason": "no",
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.text(), st.none() | st.floats(0, 1e9)), max_size=5))
def test_what_was_written_is_read_whatever_the_text(tmp_path, kept):
    path = tmp_path / "observations.jsonl"
    path.unlink(missing_ok=True)
    file = Observations(path)
    lines = [{**LINE, "text": text, "cost": cost} for text, cost in kept]
    for line in lines:
        file.write(line)
    assert list(observed(path)) == lines


def test_a_character_that_is_none_does_no_harm(tmp_path):
    file = Observations(tmp_path / "o.jsonl")
    file.write({**LINE, "text": "half \ud83d a smile\n"})
    assert [o["text"] for o in observed(file.path)] == ["half ? a smile\n"]


def test_threads_and_processes_write_whole_lines(tmp_path):
    path = tmp_path / "o.jsonl"
    code = (
        "import sys; from langchain_cachemux.route.observations import Observations\n"
        f"file, line = Observations(sys.argv[1]), {LINE!r}\n"
        "for n in range(200): file.write({**line, 'text': 'x' * (n * 20)})"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)])
    file = Observations(path)

    def work():
        for n in range(200):
            file.write({**LINE, "text": "y" * (n * 20)})

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert other.wait(60) == 0
    lengths = sorted(len(o["text"]) for o in observed(path))
    assert lengths == sorted([n * 20 for n in range(200)] * 5)


def test_a_last_line_that_was_cut_short_is_passed_over_and_another_is_named(tmp_path):
    path = tmp_path / "o.jsonl"
    whole = json.dumps(LINE) + "\n"
    path.write_text(whole + whole[:20])
    assert list(observed(path)) == [LINE]
    path.write_text(whole + whole[:20] + "\n" + whole)
    with pytest.raises(ValueError, match=r"o\.jsonl:2: an observation was expected: .+, got .+$"):
        list(observed(path))


@pytest.mark.parametrize("spoil", [{"source": "rumour"}, {"cost": "much"}, {"model": None}])
def test_a_line_of_another_form_is_named(tmp_path, spoil):
    path = tmp_path / "o.jsonl"
    path.write_text(json.dumps({**LINE, **spoil}) + "\n")
    with pytest.raises(ValueError, match=":1: an observation was expected"):
        list(observed(path))


def test_a_later_versions_field_and_a_missing_reason_do_no_harm(tmp_path):
    path = tmp_path / "o.jsonl"
    line = {name: value for name, value in LINE.items() if name != "reason"}
    path.write_text(json.dumps({**line, "new": 1}) + "\n")
    assert list(observed(path)) == [line]


def test_a_file_that_cannot_be_written_is_refused_at_once_and_later_logged(tmp_path, caplog):
    with pytest.raises(ValueError, match="observations must be a file that can be written"):
        Observations(tmp_path)
    file = Observations(tmp_path / "folder" / "o.jsonl")
    (tmp_path / "folder" / "o.jsonl").unlink()
    (tmp_path / "folder").rmdir()
    file.write(LINE)
    assert "an observation was not written" in caplog.text
    assert "o.jsonl" in repr(file)
