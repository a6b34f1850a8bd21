"""How a structured answer is kept as a message, and handed out as the object it was asked to be."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ValidationError

UNPARSED = (ValidationError, OutputParserException, json.JSONDecodeError)
"""What a provider raises from the call itself when an answer is not of the schema."""


_SEVERAL: dict[str, set[str]] = {}
"""The fields of several classes of a name that were alive after a collection of garbage."""


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
        self.written = json.dumps(fields(schema), sort_keys=True)
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


def fields(schema: dict[str, Any] | type) -> Any:
    """A schema as JSON, the same in every process: the elements of a set are written in one order."""
    from langchain_core.utils.function_calling import convert_to_json_schema

    return _ordered(convert_to_json_schema(schema))


def fields_named(name: str) -> str | None:
    """The fields of the pydantic class of this name, as JSON; None where there is none, or are several.

    Of a class LangChain writes no more than the name into a model's parameters. The classes alive are
    looked through, for a name in a module is not all: a class may be local, made at run time, or a
    generic one with its arguments. Where two of one name have different fields (one was defined
    again, and the older is still in use) nobody knows which of them was meant.

    Args:
        name: Module and qualified name.
    """
    found = _fields_alive(name)
    if len(found) > 1 and found != _SEVERAL.get(name):
        gc.collect()  # a class that is in use no more is alive until then
        found = _SEVERAL[name] = _fields_alive(name)
    return next(iter(found)) if len(found) == 1 else None


def _fields_alive(name: str) -> set[str]:
    return {
        json.dumps([name, _ordered(one.model_json_schema())], sort_keys=True)
        for one in _alive(BaseModel)
        if f"{one.__module__}.{one.__qualname__}" == name
    }


def _alive(above: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in above.__subclasses__():
        yield one
        yield from _alive(one)


def _ordered(schema: Any) -> Any:
    """A schema with the elements of its sets in one order: Python's differs between processes."""
    if isinstance(schema, list):
        return [_ordered(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    ordered = {name: _ordered(part) for name, part in schema.items()}
    default = schema.get("default")
    if isinstance(default, dict) or (default and schema.get("uniqueItems")):
        ordered["default"] = _sorted(default)
    return ordered


def _sorted(default: Any) -> Any:
    """A default value with all its lists sorted: which of them were sets is not to be seen."""
    if isinstance(default, dict):
        return {name: _sorted(part) for name, part in default.items()}
    if isinstance(default, list):
        return sorted(
            (_sorted(part) for part in default), key=lambda part: json.dumps(part, sort_keys=True)
        )
    return default
