"""Answers of real models, asked once and replayed to every arm with what they took."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict, messages_from_dict
from langchain_core.runnables.base import RunnableSerializable
from pydantic import ConfigDict

from langchain_cachemux.meter import usage_of
from langchain_cachemux.types import Usage

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig


class Recording:
    """Answers of (model, prompt) pairs with what they took; appended to a file as they come.

    Args:
        path: The file; what an earlier run recorded there is not asked again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._file: TextIO | None = None
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:  # a blank, or the last line of a run that was stopped while it wrote
                continue
            self._answers[told["model"], told["prompt"]] = told["answer"]
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n" if lines else "")

    def __enter__(self) -> Self:
        """Return the recording; its file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def ask(self, name: str, model: Runnable[Any, Any], prompt: str) -> AIMessage:
        """Return the model's answer, asked now or before; its metadata say what it took then."""
        if (name, prompt) not in self._answers:
            started = time.perf_counter()
            answer = model.invoke([HumanMessage(prompt)])
            answer.response_metadata["seconds"] = time.perf_counter() - started
            self._answers[name, prompt] = message_to_dict(answer)
            if self._file is not None:
                told = {"model": name, "prompt": prompt, "answer": message_to_dict(answer)}
                self._file.write(json.dumps(told) + "\n")
                self._file.flush()
        (message,) = messages_from_dict([json.loads(json.dumps(self._answers[name, prompt]))])
        return AIMessage(**{**message.model_dump(exclude={"type"}), "id": None})


@dataclass(slots=True)
class Asked:
    """What an arm's models were asked since it was looked at, and how long that really took."""

    usages: list[Usage] = field(default_factory=list)
    took: float = 0.0


class Replayed(RunnableSerializable[LanguageModelInput, AIMessage]):
    """A model behind a recording, as an arm sees it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    label: str
    model: Any
    recording: Any
    asked: Any

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,  # noqa: ARG002
        **_kwargs: Any,
    ) -> AIMessage:
        """Answer the last words of `input`, asked now or before, and count what that took."""
        started = time.perf_counter()
        prompt = input if isinstance(input, str) else str(input[-1].content)  # type: ignore[index,union-attr]
        answer: AIMessage = self.recording.ask(self.label, self.model, prompt)
        self.asked.usages.append(replace(usage_of(answer), model=self.label))
        self.asked.took += time.perf_counter() - started
        return answer
