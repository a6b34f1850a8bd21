"""How a structured answer is kept as a message, and handed out as the object it was asked to be."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ValidationError

UNPARSED = (ValidationError, OutputParserException, json.JSONDecodeError)
"""What a provider raises from the call itself when an answer is not of the schema."""


def empty(error: BaseException) -> dict[str, Any]:
    """Return what a model gave whose answer was so far from the schema that its client raised."""
    return {"raw": AIMessage(""), "parsed": None, "parsing_error": error}


class Structure:
    """What every model is asked for in place of a message.

    Args:
        schema: As for LangChain's `with_structured_output`.
        include_raw: As there: hand out the message and the error beside the object.
    """

    def __init__(self, schema: dict[str, Any] | type, *, include_raw: bool) -> None:
        self.schema = schema
        self.include_raw = include_raw
        self.written = json.dumps(_ordered(convert_to_json_schema(schema)), sort_keys=True)
        """Its fields: two classes of one name are two structures."""

    def fold(self, raw: AIMessage, parsed: Any) -> AIMessage:
        """Put the parsed object into the message, where LangChain's own parsers look for it."""
        if isinstance(parsed, BaseModel):
            parsed = parsed.model_dump(mode="json", by_alias=True, round_trip=True)
        return raw.model_copy(
            update={"additional_kwargs": {**raw.additional_kwargs, "parsed": parsed}}
        )

    def unfold(self, message: AIMessage) -> Any:
        """Return the object that `fold` put there.

        Raises:
            ValidationError: It is not of the schema.
        """
        parsed = message.additional_kwargs["parsed"]
        if isinstance(self.schema, type) and issubclass(self.schema, BaseModel):
            return self.schema.model_validate(parsed)
        return parsed

    @staticmethod
    def lacks(message: AIMessage) -> bool:
        """Whether an answer in which `fold` put what came of it holds no object."""
        return message.additional_kwargs.get("parsed") is None


def _ordered(schema: Any) -> Any:
    """A schema with the elements of its sets in one order: Python's differs between processes."""
    if isinstance(schema, list):
        return [_ordered(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    ordered = {name: _ordered(part) for name, part in schema.items()}
    if schema.get("uniqueItems") and isinstance(schema.get("default"), list):
        ordered["default"] = sorted(ordered["default"], key=repr)
    return ordered
