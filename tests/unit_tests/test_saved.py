"""`Saved`: a file that is whole or not there, restored part by part, and never in the way."""

import gc
import subprocess
import sys
import threading

import pytest

from langchain_cachemux import saved as module
from langchain_cachemux.background import Background
from langchain_cachemux.route import files
from langchain_cachemux.saved import EVERY, Saved


class Number:
    """Learns a number."""

    def __init__(self, value=0, *, refuses=False):
        self.value, self.refuses = value, refuses

    def dump(self):
        if self.refuses:
            msg = "it has no dump"
            raise ValueError(msg)
        return {"value": self.value}

    def restore(self, state):
        self.value = int(state["value"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "kept.zip"


def saved(path, *, background=None, **learned):
    return Saved(path, learned, background=background or Background())


def test_what_was_saved_is_restored_when_the_file_is_opened_again(path):
    one = saved(path, a=Number(3), b=Number(4))
    one.changed()
    one.save()
    a, b = Number(), Number()
    saved(path, a=a, b=b)
    assert (a.value, b.value) == (3, 4)


def test_nothing_is_written_where_nothing_changed(path):
    one = saved(path, a=Number(3))
    one.save()
    del one
    gc.collect()
    assert not path.exists()


def test_it_is_written_every_so_many_changes_in_the_background(path):
    background, a = Background(), Number()
    one = saved(path, background=background, a=a)
    for n in range(EVERY):
        assert not path.exists()
        a.value = n
        one.changed()
    assert background.wait(10)
    assert files.read(path)["a"] == {"value": EVERY - 1}


def test_of_threads_that_learn_at_once_no_change_goes_uncounted(path):
    one = saved(path, a=Number())
    threads = [
        threading.Thread(target=lambda: [one.changed() for _ in range(5 * EVERY)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.save()
    assert files.read(path)["outcomes"] == 8 * 5 * EVERY


def test_what_is_left_is_written_when_it_is_dropped(path):
    saved(path, a=Number(5)).changed()
    gc.collect()
    assert files.read(path)["a"] == {"value": 5}


def test_what_is_left_is_written_when_the_process_ends(path):
    code = (
        "import sys; from pathlib import Path\n"
        "from langchain_cachemux.background import Background\n"
        "from langchain_cachemux.experience import Experience\n"
        "from langchain_cachemux.saved import Saved\n"
        "books = Experience()\n"
        "kept = Saved(Path(sys.argv[1]), {'books': books}, background=Background())\n"
        "books.count('calls', 'small')\n"
        "kept.changed()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert files.read(path)["books"]["counts"] == [["calls", "small", 1]]


def test_a_part_that_is_new_begins_anew_and_one_that_is_gone_is_forgotten(path, caplog):
    one = saved(path, a=Number(3), gone=Number(1))
    one.changed()
    one.save()
    a, new = Number(), Number(9)
    saved(path, a=a, new=new)
    assert (a.value, new.value) == (3, 9)
    assert not caplog.text


@pytest.mark.parametrize("part", [{}, {"value": "x"}, None])
def test_a_part_that_cannot_be_restored_is_named_and_the_others_are(path, part, caplog):
    path.parent.mkdir()
    files.write(path, {"kind": "multiplexer", "version": 1, "a": part, "b": {"value": 4}})
    a, b = Number(1), Number()
    saved(path, a=a, b=b)
    assert (a.value, b.value) == (1, 4)
    assert "a: " in caplog.text
    [aside] = path.parent.iterdir()
    assert aside.name.startswith("kept.zip.")


def test_what_cannot_be_written_down_is_refused_at_once(path):
    with pytest.raises(ValueError, match="path keeps what is learned, but a cannot be written"):
        saved(path, a=Number(refuses=True))


def test_a_fault_in_writing_is_logged_and_tried_again(path, caplog, monkeypatch):
    a = Number(3)
    one = saved(path, a=a)
    one.changed()
    a.refuses = True
    one.save()
    assert "was not written" in caplog.text
    a.refuses = False
    one.save()
    assert files.read(path)["a"] == {"value": 3}


def test_threads_that_save_at_once_leave_a_whole_file(path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 3)
    a, one = Number(7), None
    background = Background(threads=4)
    one = saved(path, background=background, a=a)

    def work():
        for _ in range(50):
            one.changed()
            one.save()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert background.wait(10)
    assert files.read(path)["a"] == {"value": 7}
    assert [file.name for file in path.parent.iterdir()] == ["kept.zip"]
    assert "kept.zip" in repr(one)
