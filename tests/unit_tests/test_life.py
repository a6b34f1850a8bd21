"""`Life`: what was closed, forgotten, forked or ended with the program is over, and ends once."""

import gc
import os
import subprocess
import sys

import pytest

from langchain_cachemux.life import ClosedError, Life


class Thing:
    """Something that may be used."""

    def __init__(self, ended, folder=None):
        self.life = Life(self, lambda: ended.append("once"), folder=folder)


def test_it_may_be_used_until_it_is_closed_and_ends_once(caplog):
    ended = []
    thing = Thing(ended)
    thing.life.expect()
    thing.life.close()
    thing.life.close()
    for _ in range(3):
        with pytest.raises(ClosedError, match="the cache was closed"):
            thing.life.expect()
    del thing
    gc.collect()
    assert ended == ["once"]
    assert len(caplog.messages) == 1


def test_what_nobody_refers_to_ends():
    ended = []
    Thing(ended)
    gc.collect()
    assert ended == ["once"]


def test_it_ends_with_the_program():
    code = """
import threading, time
from langchain_cachemux.life import Life

class Thing: pass

thing = Thing()
life = Life(thing, lambda: print("ended", flush=True))
threading.Thread(target=lambda: time.sleep(60), daemon=True).start()
"""
    told = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=50)
    assert told == "ended\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("folder", [None, "a/folder"])
def test_a_forked_child_ends_nothing_and_leaves_a_folder_alone(folder):
    ended = []
    thing = Thing(ended, folder)
    child = os.fork()
    if not child:
        try:
            thing.life.expect()
            said = ""
        except ClosedError as error:
            said = str(error)
        thing.life.close()
        right = (str(os.getppid()) in said and "shared=True" in said) if folder else said == ""
        os._exit(0 if right and not ended else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thing.life.expect()
    thing.life.close()
    assert ended == ["once"]
