"""What was asked: LangChain's `(prompt, llm_string)` → `Query`.

The rule: *embed the last human words; everything else must be equal.* The model's parameters are the
scope, the system prompt and the earlier turns are the context, and only the words of a last message
that is human and all text are compared by meaning. Of these, documents that a template placed among them
are context too (`split`). Where nobody spoke before, words that refer to something said before are not
compared by meaning at all (`dangles`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)

from langchain_cachemux.arguments import (
    expect,
    is_made,
    is_number,
    is_whole,
    number_of,
    shown,
    takes,
)
from langchain_cachemux.patience import Patience
from langchain_cachemux.read.dangling import dangles
from langchain_cachemux.read.recent import Recent
from langchain_cachemux.read.runs import metadata_under_way
from langchain_cachemux.read.template import Split, split_of
from langchain_cachemux.read.written import dumped
from langchain_cachemux.types import Query

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput

    from langchain_cachemux.types import Vector

log = logging.getLogger(__name__)

PROBE = "How many moons does the planet Jupiter have?"
"""By whose vector an embedder is known."""
Scope: TypeAlias = Callable[[str], str]
"""Reduces an `llm_string` to the part that must be equal for an answer to be shared."""

_PIECE = re.compile(r"\w+|[^\w\s]")
_ordered = json.JSONEncoder(sort_keys=True).encode
_CLASS = re.compile(r"<(?:class|enum) '(.+?)'>")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")
_WORDS = ("text", "reasoning", "thinking", "redacted_thinking", "refusal")
"""Blocks that are what they say, so that their `id` is a label."""
_CARRIED = {
    "url",
    "base64",
    "data",
    "file_id",
    "image_url",
    "input_audio",
    "source",
    "file",
    "text",
}
"""In which a block carries or names what it is about: its `id` is a label then."""
_MODEL_NAMES = ("model", "model_name", "model_id", "deployment_name", "azure_deployment")


def per_model(llm_string: str) -> str:
    """Share nothing between models: the default."""
    return llm_string


def any_model(llm_string: str) -> str:
    """Share answers between models: the model's class and name drop out, its parameters stay.

    An `llm_string` that is not LangChain's JSON form is kept whole, so its model shares with none.
    """
    head, separator, call = llm_string.partition("---")
    try:
        kwargs = json.loads(head)["kwargs"]
    except (ValueError, KeyError, TypeError):
        return llm_string
    for name in [name for name in kwargs if name in _MODEL_NAMES or name.endswith("api_key")]:
        del kwargs[name]
    return json.dumps(kwargs, sort_keys=True) + separator + call


class UnstableKeyError(ValueError):
    """The prompt or the parameters name something that only this process can tell apart."""


class Turns(NamedTuple):
    """A conversation that is all words, whose last turn may be asked again on its own."""

    said: tuple[BaseMessage, ...]
    """The system prompt and what was said, the last turn last; documents are left out."""
    context: str
    """Of the last turn if it were the first: hash of the system prompt and of all documents."""


class Reader:
    """Reads each prompt once, and embeds each text once: what came of recent ones is remembered.

    Args:
        embeddings: Any LangChain embeddings.
        scope: What of the model's parameters must be equal: `per_model` or `any_model`, or your own.
        split: What in a human message is the question, and what must be equal, such as documents: the
            template that messages are made by, with `{question}` in it, or a function that returns
            `(question, rest)`.
        max_chars: A text longer than this is matched exactly or not at all, because an encoder
            reads only its beginning (all-MiniLM-L6-v2: 256 tokens).
        max_pieces: The same bound in word pieces, by a generous guess of how a text is cut.
        memo: Prompts and vectors remembered.
        deadline: Seconds that the embedder may take for a text; the default one, in this process, has
            all the time that it needs. One that is late, or fails a few times in a row, is spared for a
            while (`Patience`), and so is a text at which it failed.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        scope: Scope = per_model,
        split: str | Split | None = None,
        max_chars: int = 1000,
        max_pieces: int = 240,
        memo: int = 1024,
        deadline: float = 5.0,
    ) -> None:
        for name, value in (("max_chars", max_chars), ("max_pieces", max_pieces), ("memo", memo)):
            expect(is_whole(value) and value >= 1, name, "at least 1", value)
        expect(is_number(deadline) and deadline > 0, "deadline", "seconds > 0", deadline)
        right = is_made(embeddings, "embed_query")
        expect(right, "embeddings", "LangChain embeddings, such as SentenceEncoder()", embeddings)
        expect(takes(scope, 1), "scope", "a function of the llm_string, such as per_model", scope)
        self.embeddings = embeddings
        self.scope = scope
        self.split = split_of(split)
        self.max_chars = number_of(max_chars)
        self.max_pieces = number_of(max_pieces)
        self.memo = number_of(memo)
        self.deadline = number_of(deadline)
        self._queries: Recent[Query] = Recent(self.memo)
        self._vectors: Recent[Vector] = Recent(self.memo)
        local = getattr(embeddings, "in_process", False)
        self._patience = Patience("the embedder", None if local else self.deadline)
        self._length = 0

    def __repr__(self) -> str:
        """How it was made."""
        bounds = f"max_chars={self.max_chars}, max_pieces={self.max_pieces}, memo={self.memo}"
        return f"Reader({self.embeddings!r}, scope={shown(self.scope)}, {bounds})"

    def read(self, prompt: str, llm_string: str) -> Query:
        """Return the query a prompt makes, not embedded yet.

        Args:
            prompt: What LangChain hands to a cache: messages as JSON, or a bare string.
            llm_string: The model's parameters as LangChain writes them; only a hash is kept.

        Raises:
            UnstableKeyError: They hold a memory address, or a class whose fields cannot be looked up, so
                that the same key could come to mean something else.
        """
        llm_string = _stable(llm_string)
        asked = _hash(llm_string, prompt)
        return self._queries.get(asked) or self._queries.put(asked, self._read(prompt, llm_string))

    def _read(self, prompt: str, llm_string: str) -> Query:
        scope = _hash(self.scope(llm_string))
        messages = _messages(prompt)
        if messages is None:
            earlier, words, whole, first = "", prompt, prompt, True
        else:
            earlier, words = _split(messages)
            whole, first = _ordered(messages), _is_first(messages)
        words, material = self.split(words)
        return Query(
            key=_hash(scope, whole),
            scope=scope,
            context=_hash(earlier, material) if material else _hash(earlier),
            text=self._compared(words, alone=first and not material),
        )

    def turns(self, prompt: str) -> Turns | None:
        """Return a conversation whose last turn is human and not the first; None if it is none.

        Nor is one that holds more than words (tool calls, pictures), or a text too long to be a turn: on
        such things an answer may rest, and a question cannot say them.
        """
        messages = _messages(prompt)
        if messages is None or _is_first(messages) or messages[-1]["role"] != "HumanMessage":
            return None
        said: list[BaseMessage] = []
        system, materials = [], []
        for message in messages:
            role, content = message["role"], message["content"]
            if message.keys() != {"role", "content"} or not isinstance(content, str):
                return None
            if role == "SystemMessage":
                system.append(message)
                said.append(SystemMessage(content))
            elif role == "AIMessage":
                said.append(AIMessage(content))
            elif role == "HumanMessage":
                words, material = self.split(content)
                materials += [material] if material else []
                if len(words) > self.max_chars:
                    return None
                said.append(HumanMessage(words))
            else:
                return None
        earlier, _ = _split([*system, messages[-1]])
        return Turns(tuple(said), _hash(earlier, *materials))

    def alone(self, query: Query, context: str, words: str) -> Query:
        """Return the last turn of a conversation as a first turn that asks the same in these words.

        Unchanged when the words do not stand on their own either, or are too many to be compared.
        """
        text = self._compared(words, alone=True)
        return replace(query, context=context, text=text, vector=None) if text else query

    def _compared(self, words: str, *, alone: bool) -> str:
        """The words to be compared by meaning; none when that would tell nothing."""
        text = words.strip()
        long = len(text) > self.max_chars or _pieces(text) > self.max_pieces
        return "" if long or (alone and dangles(text)) else text

    def embed(self, query: Query) -> Query:
        """Return the query with the unit vector of its text; unchanged when it has no text.

        Raises:
            ValueError: The embedder returned something else than one finite, non-zero vector of the
                length it always had.
        """
        if not query.text or query.vector is not None:
            return query
        return replace(query, vector=self.vector(query.text))

    async def aembed(self, query: Query) -> Query:
        """As `embed` where the embedder is natively asynchronous; else unchanged, as `embed` blocks.

        Raises:
            ValueError: As `embed`.
        """
        own = getattr(type(self.embeddings), "aembed_query", Embeddings.aembed_query)
        if not query.text or query.vector is not None or own is Embeddings.aembed_query:
            return query
        vector = self._vectors.get(query.text)
        if vector is None:
            with self._patience.of(query.text):
                asked = self.embeddings.aembed_query(query.text)
                raw = await asyncio.wait_for(asked, self.deadline)
                vector = self._vectors.put(query.text, self._unit(raw))
        return replace(query, vector=vector)

    def vector(self, text: str) -> Vector:
        """Return the unit vector of a text, shape (d,).

        Raises:
            ValueError: As `embed`.
        """
        vector = self._vectors.get(text)
        if vector is None:
            vector = self._patience.ask(partial(self._embedded, text), text)
        return vector

    def probe(self) -> Vector:
        """Return the vector of `PROBE`; when the embedder fails, that is not this text's fault.

        Raises:
            ValueError: As `embed`.
        """
        known = self._vectors.get(PROBE)
        return self._patience.ask(partial(self._embedded, PROBE)) if known is None else known

    def _embedded(self, text: str) -> Vector:
        """Ask the embedder; what comes too late is remembered all the same."""
        return self._vectors.put(text, self._unit(self.embeddings.embed_query(text)))

    def routed(self, query: Query, *turns: str) -> Query:
        """Return a query as a router reads it: all that was said, and the mean of its turns' vectors.

        Each turn is a text that was embedded when it was asked, so one more costs no vector but its
        own. A turn weighs as much as it is long, as it would in a text of all: an encoder takes the
        mean of its words. Of a long turn the end is read, and as many turns before as fit into
        `max_chars`.

        Args:
            query: What was asked.
            turns: What a conversation is about (`conversation`), the newest last.

        Raises:
            SparedError: The embedder has just failed at the words of the question.
            ValueError: As `embed`.
        """
        self._patience.expect_well(query.text)
        parts: list[tuple[str, Vector]] = []
        room = self.max_chars
        for turn in reversed(turns):
            if parts and len(turn) > room:
                break
            room -= len(turn)
            if part := turn[-self.max_chars :].strip():
                parts.append((part, self.vector(part)))
        vector = parts[0][1] if parts else None
        if len(parts) > 1:
            lengths = np.array([len(part) for part, _ in parts], dtype=np.float32)
            vector = self._unit(lengths @ np.stack([v for _, v in parts]))
        return replace(query, text="\n".join(turns), vector=vector)

    def _unit(self, raw: list[float] | Vector) -> Vector:
        vector = np.asarray(raw, dtype=np.float32)
        norm = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
        if not 0 < norm < np.inf:
            msg = f"embeddings returned no usable vector: shape {vector.shape}, norm {norm}"
            raise ValueError(msg)
        if len(vector) != (self._length or len(vector)):
            msg = f"embeddings returned length {len(vector)}, before it was {self._length}"
            raise ValueError(msg)
        self._length = len(vector)
        return vector / norm


class Namespace:
    """Keeps the questions of one from those of others: no key, scope or label is the same.

    Args:
        of: Its name, or what finds it in the metadata of the run under way.

    Raises:
        ValueError: It is neither.
    """

    def __init__(self, of: str | Callable[[Mapping[str, Any]], str]) -> None:
        right = _is_name(of) or takes(of, 1)
        expect(right, "namespace", "a name, or a plain function of the run's metadata", of)
        self.of = of
        self._warned = False

    def within(self, query: Query) -> Query:
        """Return the query as one of the namespace under way.

        Raises:
            UnstableKeyError: The function raised, or returned no name.
        """
        return in_namespace(query, self.name())

    def name(self) -> str:
        """Return the name of the namespace under way.

        Raises:
            UnstableKeyError: The function raised, or returned no name.
        """
        name: object = self.of
        if callable(self.of):
            try:
                name = self.of(metadata_under_way())
            except Exception as error:
                self._warn(type(error).__name__)
                msg = f"the namespace is not to be found in the run's metadata: {type(error).__name__}"
                raise UnstableKeyError(msg) from error
        if not isinstance(name, str) or not _is_name(name):
            self._warn(type(name).__name__)
            msg = f"namespace returned {name!r}, which is no name"
            raise UnstableKeyError(msg)
        return name

    def _warn(self, what: str) -> None:
        """Say once that questions are not cached: a cache that never answers would else be silent."""
        if not self._warned:
            self._warned = True
            log.warning("nothing is cached where namespace finds no name in the metadata: %s", what)


def in_namespace(query: Query, name: str) -> Query:
    """Return a query as one of a namespace; one within another, when it is of one already."""
    key, scope = _hash(name, query.key), _hash(name, query.scope)
    return replace(query, key=key, scope=scope, namespace=namespace_of(name, query.namespace))


def namespace_of(name: str, within: str = "") -> str:
    """Return what stands for a namespace in what is stored, after that which it is within.

    It is a hash, so a store does not tell the names of those it keeps answers for.
    """
    return "/".join(filter(None, (within, _hash("namespace", name)[:32])))


def of_epoch(query: Query, epoch: str) -> Query:
    """Return a query as one of an epoch, apart from all others; unchanged where there is none."""
    if not epoch:
        return query
    return replace(
        query, key=_hash("epoch", epoch, query.key), scope=_hash("epoch", epoch, query.scope)
    )


def written_down(question: LanguageModelInput) -> str:
    """Return a question as LangChain writes it for a cache; words of one's own are left as they are.

    Raises:
        ValueError: It is none.
    """
    return question if isinstance(question, str) else dumped(messages_of(question))


def messages_of(question: LanguageModelInput) -> list[BaseMessage]:
    """Return the messages of what LangChain takes for a prompt.

    Raises:
        ValueError: It is none.
    """
    from langchain_core.prompt_values import PromptValue

    if isinstance(question, PromptValue):
        return question.to_messages()
    if isinstance(question, str):
        return [HumanMessage(question)]
    if not isinstance(question, Sequence):
        msg = f"input must be a str, a PromptValue or a list of messages, got {question!r}"  # type: ignore[unreachable]
        raise ValueError(msg)  # noqa: TRY004
    return convert_to_messages(question)


def conversation(messages: Sequence[BaseMessage]) -> list[str]:
    """Return what a conversation is about: its human turns, the newest last.

    "Go on" says little; what it goes on with says how hard it is.
    """
    return [
        said.content if isinstance(said.content, str) else said.text
        for said in messages
        if isinstance(said, HumanMessage)
    ]


def _pieces(text: str) -> int:
    """Guess, from above, into how many pieces a tokenizer cuts a text: words by four, symbols by one."""
    words = _PIECE.findall(text)
    return sum([-(-len(word) // 4) if word.isascii() else len(word) for word in words])


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and "\0" not in name


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _stable(llm_string: str) -> str:
    """Write a class's schema where LangChain wrote only its name; refuse what has no stable form."""

    def schema(found: re.Match[str]) -> str:
        from langchain_cachemux.read.structure import fields_named

        known = fields_named(found[1])
        if known is None:
            msg = (
                f"the fields of {found[0]} in the model's parameters cannot be looked up: "
                "there is no such pydantic class, or several are alive"
            )
            raise UnstableKeyError(msg)
        return known

    if _ADDRESS.search(llm_string):
        msg = "the model's parameters hold a memory address"
        raise UnstableKeyError(msg)
    return _CLASS.sub(schema, llm_string)


def _messages(prompt: str) -> list[dict[str, Any]] | None:
    """Parse LangChain's `dumps(messages)` into what a model reads of them; None for a bare string."""
    if not prompt.startswith("["):
        return None
    try:
        found = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not found or not all(_is_message(item) for item in found):
        return None
    written = "\\u" in prompt or "not_implemented" in prompt
    if written and '"type": "not_implemented"' in json.dumps(found):
        msg = "a message holds an object that cannot be written down"
        raise UnstableKeyError(msg)
    calls: dict[str, int] = {}
    return [_message(item, calls) for item in found]


def _is_message(item: object) -> bool:
    match item:
        case {"type": "constructor", "id": [*_, str(name)], "kwargs": dict()}:
            return name.removesuffix("Chunk").endswith("Message")
    return False


def _message(item: Mapping[str, Any], calls: dict[str, int]) -> dict[str, Any]:
    """Keep role, content, name, tool calls; drop ids, usage and the provider's remarks.

    A tool call's id is replaced by its ordinal, so that a replayed conversation is equal to itself.
    """
    kwargs = item["kwargs"]
    role = item["id"][-1].removesuffix("Chunk")
    kept: dict[str, Any] = {"role": role, "content": _content(kwargs.get("content", ""))}
    for name in ("name", "status"):
        if kwargs.get(name):
            kept[name] = kwargs[name]
    extra = kwargs.get("additional_kwargs") or {}
    if role == "AIMessage":
        extra = {name: extra[name] for name in ("function_call",) if name in extra}
    if extra:
        kept["extra"] = extra
    if role == "ChatMessage":
        kept["as"] = kwargs.get("role")
    if kwargs.get("tool_calls"):
        kept["tool_calls"] = [
            {
                "call": calls.setdefault(str(call.get("id")), len(calls)),
                "name": call.get("name"),
                "args": call.get("args"),
            }
            for call in kwargs["tool_calls"]
        ]
    if "tool_call_id" in kwargs:
        kept["call"] = calls.setdefault(str(kwargs["tool_call_id"]), len(calls))
    return kept


def _content(content: Any) -> Any:
    """A string, or blocks without their ids; blocks that are all text are one string."""
    if not isinstance(content, list):
        return content
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in content]
    blocks = [b for b in blocks if b.get("type") not in ("tool_call", "tool_use", "function_call")]
    if all(b.get("type") == "text" for b in blocks):
        return "".join(str(b.get("text", "")) for b in blocks)
    return [_unnumbered(block) for block in blocks]


def _unnumbered(block: Mapping[str, Any]) -> dict[str, Any]:
    """A block without its `index`, and without an `id` that is a label and refers to nothing."""
    labelled = block.get("source_type") != "id" and (
        block.get("type") in _WORDS
        or not _CARRIED.isdisjoint(block)
        or str(block.get("id")).startswith("lc_")  # LangChain's own numbering
    )
    return {k: v for k, v in block.items() if k != "index" and not (k == "id" and labelled)}


def _is_first(messages: list[dict[str, Any]]) -> bool:
    """Whether nobody has asked or looked anything up before the last message."""
    return all(message["role"] in ("SystemMessage", "AIMessage") for message in messages[:-1])


def _split(messages: list[dict[str, Any]]) -> tuple[str, str]:
    """Split into all that must be equal, and the last words when they are human and all text."""
    last = messages[-1]
    if last["role"] != "HumanMessage" or not isinstance(last["content"], str):
        return _ordered(messages), ""
    rest = [*messages[:-1], {**last, "content": None}]
    return _ordered(rest), last["content"]
