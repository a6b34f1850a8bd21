"""The index beyond its front: in a folder, however it was damaged; on a server; and after a fork."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import chromadb
import numpy as np
import pytest

from langchain_cachemux.match import collection
from langchain_cachemux.match import index as settings
from langchain_cachemux.match.collection import Place
from langchain_cachemux.match.index import Index
from langchain_cachemux.places import Servers
from langchain_cachemux.types import Entry, Wording

LENGTH, HELD = 32, 60


def units(n, *, seed=0, length=LENGTH):
    rows = np.random.default_rng(seed).normal(size=(n, length)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS = units(HELD)


def held(n=HELD):
    return [
        Wording(
            f"k{slot}",
            f"k{slot}",
            vector=VECTORS[slot],
            slot=slot,
            entry=Entry(f"k{slot}", partition="p"),
        )
        for slot in range(n)
    ]


def until(true, timeout=60.0):
    ends = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.02)


def missed(index):
    """Wordings that are not found by their own words."""
    found = (index.nearest(vector, "p", n=1) for vector in VECTORS)
    return [slot for slot, near in enumerate(found) if [one.slot for one in near] != [slot]]


# In a folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a collection of all that is held, whose graph is on the disk."""
    path = tmp_path_factory.mktemp("sound") / "chroma"
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(collection.HNSW, "sync_threshold", 20)
        index = Index.folder(path, held, exact=10)
        assert index.flush(120)
        index.close()
    return path


@pytest.fixture
def path(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "chroma")


def files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_a_folder_keeps_what_is_beyond_the_front_and_writes_nothing_again(path):
    index = Index.folder(path, held, exact=10)
    assert index.flush(60)
    assert len(index.front) == 0
    assert missed(index) == []
    assert index._rows.keys() == {slot: f"k{slot}" for slot in range(HELD)}
    assert index.check(held()) == []
    assert index.faults == 0
    index.close()


def test_what_the_ledger_changed_while_the_index_was_closed_is_repaired(path):
    now = [one for one in held() if one.slot % 10 != 3]
    now += [Wording("new", "new", vector=VECTORS[3], slot=3, entry=Entry("new", partition="p"))]
    index = Index.folder(path, lambda: now, exact=10)
    assert index.flush(60)
    assert index._rows.keys() == {one.slot: one.key for one in now}
    assert index.nearest(VECTORS[3], "p", n=1)[0].key == "new"
    assert all(one.slot != 13 for one in index.nearest(VECTORS[13], "p", n=8))
    index.close()


def test_a_folder_whose_rows_fit_the_front_keeps_no_collection(path):
    index = Index.folder(path, held)
    assert missed(index) == []
    assert index.flush(60)
    assert not path.exists()
    index.close()


def test_a_collection_written_anew_holds_nothing_else(path):
    before = Place(path).kept
    index = Index.folder(path, held, exact=10)
    assert index.flush(60)
    index.anew()
    until(lambda: index._rows is not None and len(index._rows) == HELD and not before.exists())
    assert index.flush(60)
    assert missed(index) == []
    index.close()


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def noise(file):
    file.write_bytes(np.random.default_rng(0).bytes(max(file.stat().st_size, 64)))


def zeros(file):
    file.write_bytes(bytes(file.stat().st_size))


def folder_instead(file):
    file.unlink()
    file.mkdir()


DAMAGES = {
    "deleted": lambda file: file.unlink(),
    "cut in half": cut,
    "emptied": empty,
    "noise": noise,
    "zeros": zeros,
    "a folder in its place": folder_instead,
}


def opened_and_sound(path, caplog):
    """Open a folder that may be damaged: at once everything is found, and in the end behind, too."""
    index = Index.folder(path, held, exact=10)
    assert missed(index) == []
    assert index.flush(60)
    assert missed(index) == []
    assert index.check(held()) == []
    assert sum(record.levelname == "WARNING" for record in caplog.records) <= 1
    index.close()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_folder_any_file_of_which_was_damaged_is_read_or_made_anew(path, damage, caplog):
    names = files(path)
    assert len(names) >= 5, "the graph is not on the disk"
    whole = path.with_name("whole")
    path.rename(whole)
    for name in names:
        caplog.clear()
        shutil.copytree(whole, path)
        damage(path / name)
        opened_and_sound(path, caplog)
        shutil.rmtree(path)


def test_a_folder_all_files_of_which_are_noise_is_made_anew(path, caplog):
    for name in files(path):
        noise(path / name)
    opened_and_sound(path, caplog)


def test_a_file_where_the_folder_should_be_gives_way(path, caplog):
    shutil.rmtree(path)
    path.write_text("mine")
    opened_and_sound(path, caplog)


def test_a_collection_of_another_make_is_made_anew(path, caplog):
    kept = Place(path).kept
    shutil.rmtree(kept)
    client = chromadb.PersistentClient(str(kept))
    client.create_collection(
        "cachemux", embedding_function=None, configuration={"hnsw": {"space": "l2"}}
    ).add(ids=["1"], embeddings=[[1.0, 0.0]])
    client.close()
    Place(path).seal(kept)
    opened_and_sound(path, caplog)


def test_a_collection_of_vectors_of_another_length_is_made_anew(path, caplog):
    rows = Place(path).open()
    rows.clear()
    rows._collection.upsert(ids=["1"], embeddings=[[1.0, 0.0]], metadatas=[{"key": "k"}])
    rows.close()
    opened_and_sound(path, caplog)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_leaves_all_in_the_front(path):
    path.chmod(0o500)
    try:
        index = Index.folder(path, held, exact=10)
        assert missed(index) == []
        index.close()
    finally:
        path.chmod(0o700)


def test_a_disk_that_is_full_leaves_all_in_the_front_until_there_is_room(path, monkeypatch):
    shutil.rmtree(path)
    full = shutil.disk_usage("/")._replace(free=1000)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: full)
        index = Index.folder(path, held, exact=10)
        until(lambda: index.faults)
        assert missed(index) == []
        assert not [*path.iterdir()]
    assert index.flush(60)
    assert missed(index) == []
    index.close()


# On a server


def connecting(server):
    def connect():
        return chromadb.HttpClient("127.0.0.1", server.port)

    return connect


@pytest.fixture
def name(request):
    return f"test-{abs(hash(request.node.name))}"


def awaiting(server):
    """What makes a client whose calls are awaited, as `LECCache.connect` takes it."""
    return Servers("sqlite://", lambda: chromadb.AsyncHttpClient("127.0.0.1", server.port)).client


@pytest.mark.parametrize("connecting", [connecting, awaiting])
def test_what_one_writes_to_a_server_another_reads(chroma, name, connecting):
    one = Index.server(connecting(chroma), name, exact=10)
    for wording in held():
        one.put(wording.slot, wording.key, wording.vector, "p")
    assert one.flush(60)
    assert one._rows.keys() == {slot: f"k{slot}" for slot in range(HELD)}
    assert len(one.front) == 0
    assert missed(one) == []
    other = Index.server(connecting(chroma), name, held, exact=10)
    assert other.flush(60)
    assert missed(other) == []
    one.close()
    other.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_costs_a_search_its_patience_once(chroma, name):
    before = set(threading.enumerate())
    index = Index.server(connecting(chroma), name, held, exact=10)
    assert index.flush(60)
    assert not index._whole
    chroma.hang()
    try:
        began = time.monotonic()
        for vector in VECTORS[:50]:
            assert index.nearest(vector, "p", n=1) == []
        assert time.monotonic() - began < 25 * settings.PATIENCE
        index.put(0, "new", VECTORS[0], "p")
        assert index.nearest(VECTORS[0], "p", n=1)[0].key == "new"
        began = time.monotonic()
        index.close(0.3)
        assert time.monotonic() - began < 10
    finally:
        chroma.go_on()
        until(lambda: before.issuperset(threading.enumerate()))
        index._rows.close()


@pytest.mark.parametrize("connecting", [connecting, awaiting])
def test_a_server_that_was_killed_is_found_again_and_written_what_it_missed(
    chroma, name, connecting
):
    index = Index.server(connecting(chroma), name, held, exact=10)
    assert index.flush(60)
    chroma.stop(signal.SIGKILL)
    try:
        for slot in range(20):
            index.put(slot, f"new{slot}", VECTORS[slot], "p")
            assert index.nearest(VECTORS[slot], "p", n=1)[0].key == f"new{slot}"
        until(lambda: index.faults)
    finally:
        chroma.start()
    assert index.flush(120)
    assert index.rows()[7] == "new7"
    until(lambda: missed(index) == [])
    index.close()


# After a fork


FORKED = """
import json, os, sys, time
from functools import partial
from pathlib import Path
import numpy as np
from langchain_cachemux.match.index import Index
from langchain_cachemux.types import Entry, Wording

vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
held = lambda: [
    Wording(f"k{n}", f"k{n}", vector=v, slot=n, entry=Entry(f"k{n}", partition="p"))
    for n, v in enumerate(vectors)
]
sizes = json.loads(sys.argv[2])
made = {"memory": Index.memory}.get(sys.argv[1], partial(Index.folder, Path(sys.argv[1])))
index = made(held, **sizes)
for n, vector in enumerate(vectors):
    index.put(n, f"k{n}", vector, "p")
assert index.flush(60)

def found():
    return sum([one.slot for one in index.nearest(v, "p", n=1)] == [n] for n, v in enumerate(vectors))

reading, writing = os.pipe()
child = os.fork()
if not child:
    before = found()
    index.put(99, "child", -vectors[0], "p")
    time.sleep(0.5)
    mine = index.nearest(-vectors[0], "p", n=1)
    os.write(writing, json.dumps([before, [one.key for one in mine]]).encode())
    index.close()
    sys.exit(0)
_, status = os.waitpid(child, 0)
told = json.loads(os.read(reading, 100))
print(json.dumps([status, told, found(), index.nearest(-vectors[0], "p", n=1)[0].key != "child"]))
index.close()
"""


@pytest.mark.parametrize("exact", [1000, 10], ids=["within the front", "beyond it"])
def test_a_child_finds_what_its_parent_held_in_memory_and_never_hangs(exact):
    said = subprocess.run(
        [sys.executable, "-c", FORKED, "memory", json.dumps({"exact": exact})],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(said.stdout) == [0, [60, ["child"]], 60, True]


def test_a_child_of_a_folder_beyond_its_front_never_hangs_and_its_parent_goes_on(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "chroma"), json.dumps({"exact": 10})],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    status, (_, mine), found, apart = json.loads(said.stdout)
    assert (status, mine, found, apart) == (0, ["child"], 60, True)
