"""An answer told again, as the run of a chat model: with a start, in pieces, with an end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_cachemux.read import metadata
from langchain_cachemux.read.answers import NoMessageError

PIECES = 64
"""Into how many pieces a text is cut at most, between words."""


def free(usage: Any) -> Any:
    """Return the usage of an answer that cost nothing, marked as LangChain marks what it cached.

    The tokens are kept: they are those of the answer. Who adds up costs sees a `total_cost` of 0.
    """
    return {**UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0), **(usage or {})} | {
        "total_cost": 0
    }


class Replay(BaseChatModel):
    """A chat model that has one answer. Its runs say that no token was used.

    Whoever listens to chat models (callbacks, traces, `astream_events`, LangGraph) hears of a stored
    answer what they would hear of a fresh one.
    """

    message: AIMessage

    @property
    def _llm_type(self) -> str:
        return "cachemux-replay"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Nothing: the answer is in the trace already."""
        return {}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:  # noqa: ARG002
        told = metadata.read(self.message)
        name = (told and told["model"]) or self.message.response_metadata.get("model_name") or ""
        return {"ls_provider": "cachemux", "ls_model_name": name, "ls_model_type": "chat"}

    def _generate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        message = self.message.model_copy(deep=True, update={"usage_metadata": free(None)})
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> Iterator[ChatGenerationChunk]:
        message = self.message.model_copy(deep=True)
        for content in _contents(message):
            yield _generation(AIMessageChunk(content=content, id=message.id))
        last = AIMessageChunk(
            content=[] if isinstance(message.content, list) else "",
            id=message.id,
            tool_call_chunks=[
                tool_call_chunk(
                    name=call["name"],
                    args=json.dumps(call["args"]),
                    id=call["id"],
                    index=len(message.content) + place,  # of no block of the content
                )
                for place, call in enumerate(message.tool_calls)
            ],
            additional_kwargs=message.additional_kwargs,
            response_metadata=message.response_metadata,
            usage_metadata=free(None),
            chunk_position="last",
        )
        yield _generation(last)


def chunk_of(message: Any) -> AIMessageChunk:
    """Return a chunk; a model that does not stream gives its message whole.

    Raises:
        NoMessageError: It is no message of a model.
    """
    if isinstance(message, AIMessageChunk):
        return message
    if isinstance(message, AIMessage):
        return AIMessageChunk(**message.model_dump(exclude={"type"}))
    raise NoMessageError(message)


def untold(chunk: AIMessageChunk) -> AIMessageChunk:
    """Return a chunk of a replay without what the last chunk of a stream tells of the whole answer."""
    told = {k: v for k, v in chunk.response_metadata.items() if k != metadata.NAME}
    return chunk.model_copy(update={"response_metadata": told, "usage_metadata": None})


def ending(message: AIMessage, *, usage: bool) -> AIMessageChunk:
    """Return the last chunk of a stream of which the answer was shown: empty, it tells of the route.

    Args:
        message: The whole answer.
        usage: Whether it also tells what tokens the answer took, because no chunk has told it.
    """
    return AIMessageChunk(
        content="" if isinstance(message.content, str) else [],
        id=message.id,
        response_metadata={metadata.NAME: message.response_metadata[metadata.NAME]},
        usage_metadata=message.usage_metadata if usage else None,
        chunk_position="last",
    )


def _generation(chunk: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=chunk)


def _contents(message: AIMessage) -> Iterator[Any]:
    """The content of a message in pieces: words, or blocks, of which those of text are cut too."""
    if isinstance(message.content, str):
        yield from _pieces(message.content)
        return
    for index, part in enumerate(message.content):
        block = {"type": "text", "text": part} if isinstance(part, str) else part
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            for place, piece in enumerate(_pieces(block["text"])):
                rest = block if not place else {"type": "text"}
                yield [{**rest, "text": piece, "index": index}]
        else:
            yield [{**block, "index": index}]


def _pieces(text: str) -> list[str]:
    words = re.findall(r"\s*\S+\s*", text) or ([text] if text else [])
    step = -(-len(words) // PIECES) or 1
    return ["".join(words[at : at + step]) for at in range(0, len(words), step)]
