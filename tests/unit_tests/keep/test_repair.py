"""A damaged database: one clear error, and what can be read is saved; a flipped bit is never served."""

import os
import random
import shutil
import sqlite3
import time
from collections import Counter

import numpy as np
import pytest

from langchain_cachemux.keep.durable.ledger import SqlLedger
from langchain_cachemux.keep.durable.repair import salvage
from langchain_cachemux.keep.policies import LRU, robust
from langchain_cachemux.keep.sealed import Checksum
from langchain_cachemux.types import Entry, Wording

ANSWERS = {f"k{number}": f"{number} mg twice a day " * 40 for number in range(60)}
ALIASES = {f"a{number}": f"k{number}" for number in range(5)}
PAGE = 8192
FLIPS = int(os.environ.get("CACHEMUX_FLIPS", "150"))
"""How many bits are flipped, one at a time: a third of them in a log that is not written back yet."""


def opened(folder, **how):
    url = f"sqlite:///{folder}/ledger.db"
    return SqlLedger(url, **{"capacity": 80, "policy": robust(80), "about": {"by": "mini"}, **how})


def filled(folder, **how):
    ledger = opened(folder, **how)
    for number, (key, answer) in enumerate(ANSWERS.items()):
        vector = np.full(16, number, np.float32)
        ledger.admit(Entry(key, 1.0 + number, 1, "s:c", f"question {number}", vector, answer))
    for alias, key in ALIASES.items():
        ledger.reword(Wording(alias, key, f"question {alias}"))
    ledger.differ("one", "other")
    ledger.use("k7")
    return ledger


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A sound folder: to be copied, never to be opened."""
    folder = tmp_path_factory.mktemp("template")
    filled(folder).close()
    return folder


@pytest.fixture
def folder(template, tmp_path):
    """A copy of it."""
    shutil.copytree(template, tmp_path / "copy")
    return tmp_path / "copy"


def harm_garbage(content):
    return b"this is no database, but it was one" * 100


def harm_head(content):
    return b"X" + content[1:]


def harm_end(content):
    return content[: -2 * PAGE]


def harm_middle(content):
    """Zeros over a quarter, behind the pages that say where the tables are."""
    start = len(content) // 2 // PAGE * PAGE
    return content[:start] + bytes(len(content) // 4) + content[start + len(content) // 4 :]


HARMS = {
    "garbage": (harm_garbage, 0),
    "its first byte": (harm_head, 60),
    "cut off": (harm_end, 5),
    "zeros": (harm_middle, 5),
}


def broken(folder, harm):
    file = folder / "ledger.db"
    file.write_bytes(harm(file.read_bytes()))


@pytest.mark.parametrize(("harm", "least"), HARMS.values(), ids=HARMS)
def test_what_can_be_read_of_a_damaged_database_is_saved_and_it_is_kept_beside(
    folder, harm, least, caplog
):
    broken(folder, harm)
    content = (folder / "ledger.db").read_bytes()
    aside = salvage(folder / "ledger.db", Checksum())
    assert aside.parent == folder
    assert aside.name.startswith("ledger.db.damaged-")
    assert aside.stat().st_size >= len(content) - PAGE
    ledger = opened(folder)
    answers = {entry.key: entry.answer for entry in ledger}
    assert len(answers) >= least
    assert answers.items() <= ANSWERS.items()
    assert ledger.check() == []
    assert {a: ledger.get(a).key for a in ALIASES if ledger.get(a)}.items() <= ALIASES.items()
    ledger.admit(Entry("new", answer="new"))
    ledger.close()
    assert f"{len(answers)} answers" in caplog.text
    assert str(aside) in caplog.text


@pytest.mark.parametrize("harm", [harm_garbage, harm_head])
def test_what_is_no_database_is_refused_by_one_error_that_names_the_remedy(folder, harm):
    broken(folder, harm)
    with pytest.raises(ValueError, match=r"ledger\.db cannot be read .* repair=True"):
        opened(folder)


def test_of_a_damaged_table_the_rest_is_served_and_the_log_says_how_it_is_saved(folder, caplog):
    broken(folder, harm_middle)
    ledger = opened(folder)
    served = {key: found.answer for key in ANSWERS if (found := _tried(ledger, key))}
    assert served
    assert served.items() <= ANSWERS.items()
    assert any("damaged" in p or "malformed" in p or "Page" in p for p in ledger.check())
    end = time.monotonic() + 20
    while "repair=True" not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.01)


def _tried(ledger, key):
    try:
        return ledger.get(key)
    except sqlite3.DatabaseError:
        return None


@pytest.mark.parametrize(
    "words",
    [
        "answer TEXT",
        "UNIQUE (slot)",
        "payloads (",
        "CREATE TABLE wordings",
        "tableentries",
        "INDEX",
    ],
)
def test_tables_whose_description_was_damaged_are_found_and_read(folder, words):
    file = folder / "ledger.db"
    content = file.read_bytes()
    place = content.index(words.encode()) + len(words) // 2
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert salvage(file, Checksum())
    ledger = opened(folder)
    assert {entry.key: entry.answer for entry in ledger} == ANSWERS
    assert {alias: ledger.get(alias).key for alias in ALIASES} == ALIASES
    assert (ledger.differs("other", "one"), ledger.check()) == (True, [])
    ledger.close()


@pytest.mark.parametrize("name", ["missing.db", "ledger.db"])
def test_where_nothing_is_damaged_nothing_happens(folder, name):
    before = sorted(folder.iterdir())
    assert salvage(folder / name, Checksum()) is None
    assert sorted(folder.iterdir()) == before
    assert len(opened(folder)) == len(ANSWERS)


def test_what_is_saved_is_what_was_written_under_the_secret(tmp_path):
    filled(tmp_path, seal=Checksum("one")).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE payloads SET answer = 'forged' WHERE key = 'k1'")
    connection.close()
    broken(tmp_path, harm_head)
    assert salvage(tmp_path / "ledger.db", Checksum("one"))
    ledger = opened(tmp_path, seal=Checksum("one"))
    assert {e.key for e in ledger} == ANSWERS.keys() - {"k1"}
    ledger.close()


def test_a_database_about_something_else_is_not_taken_to_be_damaged(folder):
    with pytest.raises(ValueError, match="by is 'large', but the stored entries were made with"):
        opened(folder, about={"by": "large"})
    assert salvage(folder / "ledger.db", Checksum()) is None


def test_what_the_entries_are_true_of_cannot_change_unseen(folder):
    with sqlite3.connect(folder / "ledger.db") as connection:
        connection.execute("UPDATE about SET value = 'mani' WHERE name = 'by'")
    connection.close()
    for by in ("mani", "mini"):
        with pytest.raises(ValueError, match=r"not as it was written.*repair=True"):
            opened(folder, about={"by": by})
    assert salvage(folder / "ledger.db", Checksum())
    assert len(opened(folder)) == len(ANSWERS)


def flipped(folder, files, chance):
    """Flip one bit of a file drawn by its size."""
    sizes = [(folder / name).stat().st_size for name in files]
    (name,) = chance.choices(files, sizes)
    content = bytearray((folder / name).read_bytes())
    bit = chance.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    (folder / name).write_bytes(content)


def asked(ledger, came):
    """Ask for all that was ever there, and count what came; a wrong answer raises."""
    for key in (*ANSWERS, *ALIASES):
        try:
            entry = ledger.get(key)
        except sqlite3.DatabaseError:
            came["raised"] += 1
            continue
        if entry is None:
            came["missed"] += 1
            continue
        assert (entry.key, entry.answer) == (ALIASES.get(key, key), ANSWERS[entry.key])
        came["hit"] += 1
        assert ledger.use(key)


def flip_bits(template, place, *, times, seed):
    """Flip a bit of a copy, open it, repair it where that is the remedy, and ask; what came of it."""
    chance, came = random.Random(seed), Counter()
    files = sorted(file.name for file in template.iterdir() if not file.name.endswith("-shm"))
    for number in range(times):
        folder = place / str(number)
        shutil.copytree(template, folder)
        flipped(folder, files, chance)
        try:
            ledger = opened(folder, policy=LRU())
        except ValueError as refused:
            assert "repair=True" in str(refused)  # noqa: PT017
            came["refused"] += 1
            assert salvage(folder / "ledger.db", Checksum())
            ledger = opened(folder, policy=LRU())
        asked(ledger, came)
        ledger.close()
        shutil.rmtree(folder)
    return came


def test_whatever_bit_flips_no_wrong_answer_is_served_and_nearly_all_right_ones_are(
    template, tmp_path
):
    times = 2 * FLIPS // 3
    came = flip_bits(template, tmp_path, times=times, seed=1)
    assert came["hit"] > 0.95 * times * (len(ANSWERS) + len(ALIASES))
    assert came["missed"] > 0


def test_whatever_bit_flips_while_it_is_open_no_wrong_answer_is_served(tmp_path):
    """The log is not written back yet: SQLite takes what comes before a frame that was changed."""
    (tmp_path / "work").mkdir()
    ledger = filled(tmp_path / "work")
    shutil.copytree(tmp_path / "work", tmp_path / "killed")
    ledger.close()
    came = flip_bits(tmp_path / "killed", tmp_path, times=FLIPS // 3, seed=2)
    assert came["hit"] > 0
    assert came["missed"] > 0
