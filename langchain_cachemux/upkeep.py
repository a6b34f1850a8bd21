"""What its owner asks of a cache, beside the answers: to forget, to explain, to compare its stores."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from langchain_cachemux.keep.expiry import keeping, run_said, said
from langchain_cachemux.match.verified import explained
from langchain_cachemux.read import metadata
from langchain_cachemux.read.encoder import name_of
from langchain_cachemux.read.prompts import (
    in_namespace,
    namespace_of,
    of_epoch,
    written_down,
)
from langchain_cachemux.read.runs import metadata_under_way
from langchain_cachemux.transfer import Export, answers_of, export, load

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager
    from os import PathLike

    from langchain_core.language_models import LanguageModelInput

    from langchain_cachemux.background import Workers
    from langchain_cachemux.embedder import Embedder
    from langchain_cachemux.keep.expiry import Expiry, Keeping, Span
    from langchain_cachemux.life import Life
    from langchain_cachemux.match.threshold import Matcher
    from langchain_cachemux.read.metadata import Copies
    from langchain_cachemux.read.prompts import Namespace, Reader
    from langchain_cachemux.rewriting import Rewriter
    from langchain_cachemux.shelf import Shelf
    from langchain_cachemux.types import Query
    from langchain_cachemux.worth import Worth


class Upkeep:
    """The part of an `LECCache` that LangChain does not call.

    Each of these sees the answers of the cache's own namespace and epoch alone. Where the namespace is
    found in the metadata of a run, and there is no run, it is named by `namespace=`.
    """

    reader: Reader
    match: Matcher
    namespace: Namespace | None
    rewriter: Rewriter
    _shelf: Shelf
    _expiry: Expiry
    _worth: Worth
    _workers: Workers
    _life: Life
    _copies: Copies
    _embedder: Embedder

    def keeping(
        self,
        *,
        ttl: Span | None = None,
        tags: Collection[str] = (),
        namespace: str | None = None,
    ) -> AbstractContextManager[None]:
        """Say of the answers that are kept in a block how long they hold, and whose they are.

            with cache.keeping(ttl=60, tags=["prices"]):
                chain.invoke("What is gold worth?")

        The config of a run says the same of what is kept in it, and goes before such a block:
        `chain.invoke(..., {"metadata": {"cachemux": {"ttl": 60, "tags": ["prices"]}}})`.

        Args:
            ttl: Seconds or a `timedelta` that they hold, whatever the cache's own `ttl` says.
            tags: Tags beside those of the cache.
            namespace: Within the cache's own, if it has one: others find neither these answers nor
                those of before.

        Raises:
            ValueError: An argument is of the wrong kind.
        """
        return keeping(self, ttl=ttl, tags=tags, namespace=namespace)

    def forget(
        self,
        question: LanguageModelInput,
        llm_string: str | None = None,
        *,
        namespace: str | None = None,
    ) -> int:
        """Forget what is stored for a question.

        Args:
            question: Words, whatever was said before them; or a prompt or messages, which are all that
                was said, also as they were rewritten (`rewrite=`); or, with `llm_string`, the prompt as
                LangChain gives it to a cache.
            llm_string: The model's parameters as LangChain writes them. With it an answer is found that
                its words alone do not find: a long question's, or one that calls a tool.
            namespace: Whose, where that is found in the metadata of a run, and there is none.

        Returns:
            How many answers, and other wordings of one, were forgotten.

        Raises:
            ValueError: The question is none, or it is not known whose.
        """
        self._life.expect()
        prompt = written_down(question)
        asked = self._asked(prompt, llm_string or "", namespace)
        self._shelf.forgotten.add()
        keys = [asked.key]
        if llm_string is None:
            words, both = isinstance(question, str), (asked, self.rewriter.known(asked))
            wanted = [self._shelf.asked(one, None if words else one.context) for one in both]
            keys = list(dict.fromkeys(key for found in wanted for key in found))
        return sum(self._forget(key) for key in keys)

    def invalidate(
        self,
        *,
        namespace: str | None = None,
        tag: str | None = None,
        older_than: Span | None = None,
        contains: str | None = None,
        model: str | None = None,
    ) -> int:
        """Forget the answers of which all that is given holds.

        They are gone from the disk once the folder was compacted (`compact`).

        Args:
            namespace: Whose they are; by default of all that are within the cache's own.
            tag: One of their tags.
            older_than: Seconds or a `timedelta` since they were given, at least.
            contains: What is in the question, in another wording of it, or in the answer, whatever the
                case.
            model: Who gave them, as `response_metadata` names it.

        Returns:
            How many were forgotten.

        Raises:
            ValueError: Nothing is given, or something of a wrong kind.
        """
        self._life.expect()
        asked = self._expiry.asked(
            namespace=namespace, tag=tag, older_than=older_than, contains=contains, model=model
        )
        within = ""
        for name in self._names(namespace, self._fixed):
            within = namespace_of(name, within)
        self._shelf.forgotten.add()
        keys = self._shelf.found(asked.within(within))
        return sum(self._forget(key) for key in keys)

    async def ainvalidate(
        self,
        *,
        namespace: str | None = None,
        tag: str | None = None,
        older_than: Span | None = None,
        contains: str | None = None,
        model: str | None = None,
    ) -> int:
        """As `invalidate`."""
        given = {"tag": tag, "contains": contains, "model": model, "namespace": namespace}
        return await self._workers.do(partial(self.invalidate, older_than=older_than, **given))

    def export(self, path: str | PathLike[str]) -> int:
        """Write all answers to a file, of every namespace and epoch: lines of JSON.

        They can be read there, though the cache be encrypted.

        Args:
            path: The file, which is its owner's alone, and there whole or not at all.

        Returns:
            How many were written.

        Raises:
            OSError: It cannot be written.
        """
        self._life.expect()
        name, unit = name_of(self.reader.embeddings), self._shelf.unit
        answers = answers_of(self._shelf.ledger)
        return sum(1 for _ in export(answers, path, embeddings=name, unit=unit))

    def load(self, path: str | PathLike[str], *, embed: bool = False) -> int:
        """Store the answers of a file that `export` wrote, but those that are over or held already.

        Each is as good as when it was written: it ends when it would have, and counts of its use begin
        anew. What it was worth is in the unit of the cache that it comes from.

        Args:
            path: The file.
            embed: Whether the questions are embedded anew; they must be where the file is of another
                embedder.

        Returns:
            How many are kept.

        Raises:
            ValueError: The file is none, a line of it is not, or it is of another embedder.
            OSError: It cannot be read.
        """
        self._life.expect()
        answers, name = Export(path), name_of(self.reader.embeddings)
        if answers.embeddings != name and not embed:
            msg = (
                f"{path} was made with {answers.embeddings!r}, this cache with {name!r}: "
                "embed=True embeds its questions anew"
            )
            raise ValueError(msg)
        vector = self.reader.vector if embed else None
        return sum(load(self._shelf, answers, embed=vector, moved=self._embedder.moved))

    def compact(self) -> int:
        """Forget what is over, and leave nothing on the disk of what was ever forgotten.

        The database is written anew while writers wait, and so is what there is of the index.

        Returns:
            How many answers were over.

        Raises:
            Exception: There is no room for a copy, or another program has the database in use.
        """
        self._life.expect()
        return self._shelf.compact()

    def explain(
        self,
        question: LanguageModelInput,
        llm_string: str | None = None,
        *,
        namespace: str | None = None,
    ) -> str:
        """Say what would come of a question and why: the nearest wordings, and what is thought of each.

        Args:
            question: Words, beside whatever is stored; or a prompt or messages, beside what is stored
                after the same, for whatever model; or, with `llm_string`, the prompt as LangChain gives
                it to a cache.
            llm_string: As for `forget`.
            namespace: As for `forget`.

        Raises:
            ValueError: The question is none, or it is not known whose.
        """
        self._life.expect()
        prompt = written_down(question)
        asked = self._asked(prompt, llm_string or "", namespace)
        alone = self.rewriter.known(asked)
        if llm_string is None and isinstance(question, str):
            alone = replace(asked, text=question)
        query = self._embedder.embed(alone)
        if llm_string is not None:
            near = [*self._shelf.near(query)]
        else:
            near = self._shelf.beside(query, None if isinstance(question, str) else alone.context)
        told = explained(self.match, query, near)
        rewritten = alone.context != asked.context and query.text != asked.text
        return f"On its own it asks {query.text!r}.\n{told}" if rewritten else told

    def check(self, *, fix: bool = False) -> list[str]:
        """Compare the index with the ledger, and the ledger with itself.

        Args:
            fix: Also write the rows that the index lacks and delete those it should not have, from
                the vectors that the ledger keeps.

        Returns:
            The problems found, in words; none in a sound cache.
        """
        return self._shelf.check(fix=fix)

    def _asked(self, prompt: str, llm_string: str, namespace: str | None) -> Query:
        """A prompt as a query of a namespace that is named, or of the one under way, not rewritten.

        Raises:
            ValueError: It is not known whose it is, or it has no stable key.
        """
        return self._as_said(prompt, llm_string, self._fixed if namespace else None, namespace)

    def _read(self, prompt: str, llm_string: str) -> Query:
        """A prompt as a query of this epoch and the namespace under way, as it was rewritten."""
        self._life.expect()
        return self.rewriter.known(self._as_said(prompt, llm_string))

    def _as_said(
        self, prompt: str, llm_string: str, outermost: str | None = None, named: str | None = None
    ) -> Query:
        """As `_read`, but as it was said, and of the namespace under way unless another is named."""
        query = of_epoch(self.reader.read(prompt, llm_string), self._expiry.epoch)
        if outermost is None and self.namespace is not None:
            outermost = self.namespace.name()
        for name in self._names(named, outermost or ""):
            query = in_namespace(query, name)
        return query

    def _names(self, named: str | None, outermost: str) -> list[str]:
        """The namespaces that something is within, the outermost first."""
        return [*filter(None, (outermost, *said(self).namespaces, named))]

    def _given(self) -> Keeping:
        """What was said of the answers that are kept here, in blocks and in the config of the run.

        Raises:
            ValueError: What the config says is not understood.
        """
        return run_said(said(self), metadata_under_way().get(metadata.NAME))

    @property
    def _fixed(self) -> str:
        """The namespace of all that is asked of the cache; empty when there is none, or it depends."""
        of = None if self.namespace is None else self.namespace.of
        return of if isinstance(of, str) else ""

    def _forget(self, key: str) -> bool:
        """Forget the answer under a key, and its row; True when it was held."""
        self._copies.clear()
        with self._shelf.lock:
            self._worth.gone([key])
            return self._shelf.forget(key)
