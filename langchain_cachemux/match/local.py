"""The judge that comes with the package: a small cross-encoder for English, through onnxruntime.

It is all-MiniLM-L6-v2 (Apache-2.0), which reads both questions at once and was taught on pairs made by
rules what changes a question and what does not (`training/`); `weights/MODEL.md` says how well. It knows
small differences between two texts in one frame, and hardly anything about rewording: it is to be asked
about pairs whose vectors are near, where similarity says nothing.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from langchain_core.runnables.config import run_in_executor

from langchain_cachemux.match.judges import UNSURE, Opinion, Pair

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

FOLDER = Path(__file__).parent / "weights"
SHA256 = {
    "judge.onnx": "",
    "tokenizer.json": "",
}
"""Of the files that it is made of."""
LONGEST = 160
"""Tokens of both questions together; it was taught on short ones."""
_WORD = re.compile(r"\w+|[^\w\s]")
_LOCK = threading.Lock()


class LocalJudge:
    """Says how likely two short English questions ask the same, in a few milliseconds.

    It is sure of nothing that it cannot read: of texts that are too long, and of a difference between
    words or signs that its vocabulary has no token for, or one and the same. A pair and its mirror image
    get one opinion. The model is loaded once in a process, when a pair is first judged, after its
    SHA-256 is verified.
    """

    def __repr__(self) -> str:
        """How `judge=` names it."""
        return "LocalJudge()"

    def judge(self, pair: Pair) -> Opinion:
        """Read both questions; the answer is not looked at.

        Raises:
            OSError: Its files are not those that were shipped.
        """
        first, second = sorted(map(_clean, (pair.new, pair.stored)))
        if first == second:
            return Opinion(1.0, "the same words")
        if unread := _unread(first, second):
            return Opinion(UNSURE, f"the local judge cannot read {unread}")
        model = _model()
        read = model.tokenizer.encode(first, second)
        if len(read.ids) > LONGEST:
            return Opinion(UNSURE, f"more than the {LONGEST} tokens that the local judge reads")
        inputs = {
            "input_ids": np.array([read.ids], dtype=np.int64),
            "attention_mask": np.array([read.attention_mask], dtype=np.int64),
            "token_type_ids": np.array([read.type_ids], dtype=np.int64),
        }
        (logits,) = model.session.run(None, inputs)
        same = 1 / (1 + float(np.exp(-logits[0])))
        return Opinion(same, f"the local judge gives {same:.2f}")

    async def ajudge(self, pair: Pair) -> Opinion:
        """As `judge`, in a thread."""
        return await run_in_executor(None, self.judge, pair)


class _Model(NamedTuple):
    tokenizer: Tokenizer
    session: InferenceSession


def _model() -> _Model:
    with _LOCK:
        return _loaded()


@cache
def _loaded() -> _Model:
    import onnxruntime
    from tokenizers import Tokenizer

    files = {name: (FOLDER / name).read_bytes() for name in SHA256}
    for name, expected in SHA256.items():
        found = hashlib.sha256(files[name]).hexdigest()
        if found != expected:
            msg = f"{FOLDER / name} has SHA-256 {found}, expected {expected}: install the package again"
            raise OSError(msg)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(files["judge.onnx"], options, ["CPUExecutionProvider"])
    return _Model(Tokenizer.from_str(files["tokenizer.json"].decode("utf-8")), session)


def _clean(text: str) -> str:
    """One form of each letter, in small letters; half a surrogate is no character."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", whole).casefold().split())


def _unread(first: str, second: str) -> str:
    """A word or sign that only one text has, and that the vocabulary does not show; or nothing."""
    words = [set(_WORD.findall(text)) for text in (first, second)]
    tokenizer = _model().tokenizer
    seen: set[tuple[str, ...]] = set()
    for word in sorted(words[0] ^ words[1]):
        tokens = tuple(tokenizer.encode(word, add_special_tokens=False).tokens)
        if not tokens or "[UNK]" in tokens or tokens in seen:
            return repr(word)
        seen.add(tokens)
    return ""
