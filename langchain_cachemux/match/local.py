"""The judge that comes with the package: a small cross-encoder for English, through onnxruntime.

It is all-MiniLM-L6-v2 (Apache-2.0), which reads both questions at once and was taught on pairs made by
rules what changes a question and what does not (`training/`); `weights/MODEL.md` says how well. It knows
small differences between two texts in one frame, and hardly anything about rewording: it is to be asked
about pairs whose vectors are near, where similarity says nothing.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from langchain_core.runnables.config import run_in_executor

from langchain_cachemux.locks import Lock
from langchain_cachemux.match.judges import UNSURE, Opinion, Pair

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

FOLDER = Path(__file__).parent / "weights"
SHA256 = {
    "judge.onnx": "43a4c4a34ffb5cd71b86e247f241c2ecc93d3d6aa834c813ad8cc392b720fdc0",
    "tokenizer.json": "5fd1c882abbd30517dced455a2c9768945ec726b96727927e4959348d9de550b",
}
"""Of the files that are shipped."""
LONGEST = 160
"""Tokens of both questions together; it was taught on short ones."""
SAME = 0.1
"""The share of the same that is assumed among the pairs that it is asked about; it was taught on a half.

Near pairs in one frame mostly differ in what is asked, and a wrong answer is worse than a miss.
"""
LATIN = "\u024f"
"""The last letter of the alphabets that it was taught on."""
LITTLE = frozenset(
    "a an the this that these those i you he she it we they me him her us them my your his its our their"
    " is are was were be been am do does did have has had can could may might must shall should will"
    " would what which who whom whose when where why how if whether there not and or of in on at to from"
    " for with by as about into than please".split()
)
"""Words whose place says little: they move when a question is put another way."""
_WORD = re.compile(r"\w+|[^\w\s]")
_TELLING = re.compile(r"(?<!^)(?<![.?!:] )\b[A-Z]\w*|\d\w*|[^\w\s.,;:!?'’‘\"“”()`´…–—-]")
"""What no other word stands for: a name (a capital within a sentence), a number, a sign."""
_OPTION = re.compile(r"(?:\\|(?<!\S)-)[A-Za-z]\b")
_DENIAL = re.compile(r"\b(?:not|never|cannot)\b|n['’]t\b")
_LOCK = Lock()


class LocalJudge:
    """Says how likely two short English questions ask the same, in a few milliseconds.

    It is never sure of what it cannot read. To texts too long, or not in Latin letters, it gives even
    chances. Two texts get no more than the chance that is assumed unread where one has a number, a name
    or a sign that the other has not, a word that its vocabulary shows as it shows another, where each
    has a word of its own that the vocabulary has not whole ("pros", "cons"; most words of other
    languages), where both deny and each another word ("not right", "not wrong"), or equal words in
    another order ("from Rome to Oslo", "from Oslo to Rome"): it does not tell well who does what to
    whom. A pair and its mirror image get one opinion. The model is loaded once in a process, when a
    pair is first judged.

    Args:
        folder: Where `judge.onnx` and `tokenizer.json` are, as `training/export.py` writes them; by
            default those that are shipped, whose SHA-256 is verified.
    """

    narrow = True
    """It knows small differences, and nothing of what the surface finds to be another question."""

    def __init__(self, folder: Path | str = FOLDER) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        """How it was made."""
        return "LocalJudge()" if self.folder == FOLDER else f"LocalJudge({str(self.folder)!r})"

    def judge(self, pair: Pair) -> Opinion:
        """Read both questions; the answer is not looked at.

        Raises:
            OSError: Its files are not those that were shipped.
        """
        texts = [_whole(text) for text in (pair.new, pair.stored)]
        first, second = sorted(map(_plain, texts))
        if first == second and not _options_differ(*texts):
            return Opinion(1.0, "the same words")
        foreign = next((c for c in first + second if c.isalpha() and c > LATIN), None)
        if foreign is not None:
            return Opinion(UNSURE, f"the local judge cannot read {foreign!r}")
        model = _model(self.folder)
        read = model.tokenizer.encode(first, second)
        if len(read.ids) > LONGEST:
            return Opinion(UNSURE, f"more than the {LONGEST} tokens that the local judge reads")
        inputs = {
            "input_ids": np.array([read.ids], dtype=np.int64),
            "attention_mask": np.array([read.attention_mask], dtype=np.int64),
            "token_type_ids": np.array([read.type_ids], dtype=np.int64),
        }
        (logits,) = model.session.run(None, inputs)
        same = 1 / (1 + float(np.exp(-logits[0])) * (1 - SAME) / SAME)
        doubt = _doubt(texts, model.tokenizer) if same > SAME else ""
        return Opinion(
            min(same, SAME) if doubt else same, doubt or f"the local judge gives {same:.2f}"
        )

    async def ajudge(self, pair: Pair) -> Opinion:
        """As `judge`, in a thread."""
        return await run_in_executor(None, self.judge, pair)


class _Model(NamedTuple):
    tokenizer: Tokenizer
    session: InferenceSession


def _model(folder: Path) -> _Model:
    with _LOCK:
        return _loaded(folder)


@cache
def _loaded(folder: Path) -> _Model:
    import onnxruntime
    from tokenizers import Tokenizer

    files = {name: (folder / name).read_bytes() for name in SHA256}
    for name, expected in SHA256.items() if folder == FOLDER else ():
        found = hashlib.sha256(files[name]).hexdigest()
        if found != expected:
            msg = f"{folder / name} has SHA-256 {found}, expected {expected}: install the package again"
            raise OSError(msg)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(files["judge.onnx"], options, ["CPUExecutionProvider"])
    return _Model(Tokenizer.from_str(files["tokenizer.json"].decode("utf-8")), session)


def _whole(text: str) -> str:
    """One form of each letter; half a surrogate is no character."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))


def _plain(text: str) -> str:
    """In small letters, as it was taught."""
    return " ".join(text.casefold().split())


def _options_differ(text: str, other: str) -> bool:
    r"""Whether the letter of a class or of an option is another, be it by its case: \w, \W; -l, -L."""
    return set(_OPTION.findall(text)) != set(_OPTION.findall(other))


def _denied(text: str) -> list[str] | None:
    """The first word that tells something after a denial, if any does; None where nothing is denied."""
    found = _DENIAL.search(text)
    if found is None:
        return None
    return [word for word in _WORD.findall(text[found.end() :]) if _tells(word)][:1]


def _tells(word: str) -> bool:
    return word[0].isalnum() and word not in LITTLE


def _doubt(texts: list[str], tokenizer: Tokenizer) -> str:
    """Why the judge should not be sure that two texts are the same, or nothing."""
    words = [_WORD.findall(text.casefold()) for text in texts]
    for text, other in zip(texts, reversed(words), strict=True):
        for telling in _TELLING.findall(text):
            if telling != "I" and telling.casefold() not in other:
                return f"only one of them has {telling!r}"
    if _options_differ(*texts):
        return "the letter of an option is another"
    denied = [_denied(text.casefold()) for text in texts]
    if None not in denied and denied[0] != denied[1]:
        return "both deny something, and not the same"
    first, second = words
    unread = _unread(first, second, tokenizer)
    if not unread and _swapped(first, second):
        return "words have changed places, which the local judge does not read"
    return unread


def _unread(first: list[str], second: list[str], tokenizer: Tokenizer) -> str:
    """Which words its vocabulary cannot tell apart, or nothing."""
    seen: dict[tuple[str, ...], str] = {}
    strange: list[str | None] = [None, None]
    for word in sorted(set(first) ^ set(second)):
        tokens = tuple(tokenizer.encode(word, add_special_tokens=False).tokens)
        if not tokens or "[UNK]" in tokens or tokens in seen:
            return f"the local judge cannot read {word!r}"
        seen[tokens] = word
        if len(tokens) > 1:
            strange[word in second] = word
    return "the local judge knows neither {!r} nor {!r}".format(*strange) if all(strange) else ""


def _swapped(first: list[str], second: list[str]) -> bool:
    """Whether words of both texts stand in another order, and not as one part moved to an end."""
    one, other = (
        [w for w in words if _tells(w) and words.count(w) == others.count(w) == 1]
        for words, others in ((first, second), (second, first))
    )
    moved = len(one) > 2 and any(one[k:] + one[:k] == other for k in range(len(one)))  # noqa: PLR2004
    return one != other and not moved
