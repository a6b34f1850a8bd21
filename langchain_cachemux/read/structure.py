"""How a structured answer is kept as a message, and handed out as the object it was asked to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage


class Structure:
    """What every model is asked for in place of a message.

    Args:
        schema: As for LangChain's `with_structured_output`.
        include_raw: As there: hand out the message and the error beside the object.
    """

    def __init__(self, schema: dict[str, Any] | type, *, include_raw: bool) -> None:
        self.schema = schema
        self.include_raw = include_raw
        self.written = json.dumps(convert_to_json_schema(schema), sort_keys=True)
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
