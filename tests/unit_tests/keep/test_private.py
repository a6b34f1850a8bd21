"""What a cache keeps can be read by nobody else, whatever the umask and whatever was there before."""

import logging
import os
import stat

import pytest
from fakes import QUESTION, Fake, Words

from langchain_cachemux import LECCache
from langchain_cachemux.keep.durable.private import make_private

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def ask(folder, *words):
    with LECCache(folder, embeddings=Words()) as cache:
        model = Fake(model="small", cache=cache)
        for text in words:
            model.invoke(text)
        return open_to_others(folder)


def open_to_others(folder):
    return sorted(str(path) for path in [folder, *folder.rglob("*")] if mode(path) & 0o077)


def test_a_folder_and_all_in_it_is_its_owners_alone_while_it_is_open_and_afterwards(
    tmp_path, umask
):
    folder = tmp_path / "deep" / "answers"
    assert [path for path in ask(folder, QUESTION) if "chroma" not in path] == []
    assert mode(folder) == 0o700
    assert mode(folder / "ledger.db") == 0o600
    assert open_to_others(folder) == []
    assert ask(folder, QUESTION, "another") == []


def test_a_folder_that_was_open_to_others_is_closed_and_one_is_told(tmp_path, caplog):
    ask(tmp_path / "a", QUESTION)
    for path in [tmp_path / "a", *(tmp_path / "a").rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    with caplog.at_level(logging.INFO):
        assert ask(tmp_path / "a", QUESTION) == []
    assert "could be read by others; now its owner alone can" in caplog.text


def test_where_others_keep_things_the_folder_and_those_are_left_alone(tmp_path):
    other = tmp_path / "thesis.txt"
    other.write_text("mine")
    for path in (tmp_path, other):
        path.chmod(0o755)
    ask(tmp_path, QUESTION)
    assert (mode(tmp_path), mode(other)) == (0o755, 0o755)
    ours = [path for path in tmp_path.rglob("*") if path != other]
    assert [path for path in ours if mode(path) & 0o077] == []


def test_no_link_is_followed(tmp_path):
    target, folder = tmp_path / "target", tmp_path / "folder"
    target.write_text("mine")
    target.chmod(0o644)
    folder.mkdir()
    (folder / "ledger.db-x").symlink_to(target)
    make_private(folder)
    assert mode(target) == 0o644
