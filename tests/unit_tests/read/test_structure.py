"""`Structure`: an object goes into a message and comes out again, through JSON too."""

import json
from datetime import date
from decimal import Decimal
from typing import TypedDict
from uuid import UUID, uuid4

import pytest
from langchain_core.load import dumps
from langchain_core.messages import AIMessage
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from langchain_cachemux.read.structure import Structure, empty


class Item(BaseModel):
    """What is bought."""

    name: str
    price: Decimal


class Order(BaseModel):
    """An order, with fields that JSON has no type for."""

    model_config = ConfigDict(populate_by_name=True)
    number: UUID = Field(alias="orderNumber")
    day: date
    items: list[Item]


class City(TypedDict):
    """A city."""

    name: str


ORDER = Order(number=uuid4(), day=date(2026, 2, 3), items=[Item(name="tea", price=Decimal("2.50"))])
RAW = AIMessage("", additional_kwargs={"kept": 1}, id="a")


def structure(schema, *, include_raw=False):
    return Structure(schema, include_raw=include_raw)


def test_an_object_comes_back_as_it_was_after_a_journey_through_json():
    folded = structure(Order).fold(RAW, ORDER)
    again = json.loads(json.dumps(folded.additional_kwargs))
    assert structure(Order).unfold(AIMessage("", additional_kwargs=again)) == ORDER
    assert "not_implemented" not in dumps(folded)


@pytest.mark.parametrize("schema", [City, convert_to_json_schema(City)], ids=["class", "schema"])
def test_a_dictionary_comes_back_as_it_was(schema):
    city = {"name": "Oslo"}
    assert structure(schema).unfold(structure(schema).fold(RAW, city)) == city


def test_the_message_is_a_copy_with_the_rest_as_it_was():
    folded = structure(Order).fold(RAW, ORDER)
    assert RAW.additional_kwargs == {"kept": 1}
    assert (folded.additional_kwargs["kept"], folded.id) == (1, "a")


def test_an_object_of_other_fields_is_refused():
    folded = structure(City).fold(RAW, {"name": "Oslo"})
    with pytest.raises(ValidationError):
        structure(Order).unfold(folded)
    with pytest.raises(KeyError):
        structure(Order).unfold(RAW)


def test_two_classes_of_one_name_are_written_apart_and_one_class_always_alike():
    one, other = (create_model("Made", **{field: (int, ...)}) for field in "ab")
    assert structure(one).written != structure(other).written
    assert structure(one).written == structure(create_model("Made", a=(int, ...))).written


def test_a_field_of_a_class_within_is_part_of_what_is_written():
    def nested(kind):
        class Inside(BaseModel):
            value: kind

        return create_model("Outside", inside=(Inside, ...))

    assert structure(nested(int)).written != structure(nested(str)).written


def test_a_default_that_is_a_set_is_written_alike_in_whatever_order_a_process_has_it():
    one, other = (
        {"title": "Tags", "properties": {"tags": {"uniqueItems": True, "default": tags}}}
        for tags in (["a", "b", "c"], ["c", "a", "b"])
    )
    assert structure(one).written == structure(other).written
    assert '"default"' in structure(one).written
    del one["properties"]["tags"]["uniqueItems"]
    assert structure(one).written != structure(other).written  # a list has an order


def test_what_holds_no_object_lacks_one():
    assert Structure.lacks(structure(Order).fold(RAW, None))
    assert Structure.lacks(RAW)
    assert not Structure.lacks(structure(City).fold(RAW, {}))


def test_what_a_client_could_not_parse_is_an_empty_answer():
    error = ValueError("no")
    assert empty(error) == {"raw": AIMessage(""), "parsed": None, "parsing_error": error}
