"""Models that LangChain cannot tell apart: one `llm_string`, and yet two.

To a cache they are one, and each is given the other's answers. A model may tell nothing of itself:
`ChatHuggingFace` says the same whatever it wraps. Or two may differ in their API keys alone, of which
LangChain writes the names. The first kind shows in the string; the second in the models themselves, as
far as one knows which of them asks (`runs.asking`).
"""

from __future__ import annotations

import logging
import re
import weakref
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from langchain_cachemux.locks import Lock
from langchain_cachemux.read.runs import asking

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_SILENT = re.compile(rf"""\[\('_type', (?:{_WORD})\), \('stop', (?:None|\[(?:{_WORD}|, )*\])\)\]""")
SILENT = (
    "a model tells no more of itself than %s, so all models of its kind share answers; give it "
    "_identifying_params, or each a cache of its own with namespace="
)
KEYS = (
    "models share answers that differ in %s alone, which LangChain does not write down; if they are "
    "not to, give each a cache of its own with namespace=, or one a namespace= that finds whose call "
    "it is"
)
SCOPES = 10_000
"""Of which it is remembered who asked first; then it begins anew."""

log = logging.getLogger(__name__)


class Twins:
    """Warns once of models that share the answers of a cache because nothing tells them apart.

    Args:
        named: The cache has a namespace. Its owner knows that some models tell nothing of themselves.
    """

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self._first: dict[str, dict[str, int]] = {}
        self._warned: set[str] = set()
        self._lock = Lock()

    def notice(self, llm_string: str, scope: str) -> None:
        """Take note of a question.

        Args:
            llm_string: The parameters of the model, or of all models that may answer.
            scope: Within which answers are shared.
        """
        keys = _keys(asking())
        with self._lock:
            if len(self._first) > SCOPES:
                self._first.clear()
            first = self._first.get(scope)
            if not first:
                self._first[scope] = keys
        if first is None and not self._named and (silent := _SILENT.search(llm_string)):
            self._warn(SILENT, silent[0])
        elif first and keys and first != keys:
            self._warn(KEYS, " and ".join(sorted(first.keys() | keys.keys())))

    def _warn(self, what: str, of: str) -> None:
        with self._lock:
            known = what + of in self._warned
            self._warned.add(what + of)
        if not known:
            log.warning(what, of)


def _keys(models: Sequence[Any]) -> dict[str, int]:
    """Hashes, of this process alone, of the secrets that models hold, by the names of their fields."""
    held: dict[str, tuple[str, ...]] = {}
    for model in models:
        for name, value in vars(model).items():
            if isinstance(value, SecretStr):
                held[name] = (*held.get(name, ()), value.get_secret_value())
    return {name: hash(values) for name, values in held.items()}


_OF: weakref.WeakKeyDictionary[Any, Twins] = weakref.WeakKeyDictionary()


def twins_of(cache: Any) -> Twins:
    """Return who watches over a cache that does not do so itself."""
    return _OF.setdefault(cache, Twins())
