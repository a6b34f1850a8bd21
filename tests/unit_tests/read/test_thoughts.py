"""What a model thought goes back to itself alone, in the forms in which providers sign it."""

from copy import deepcopy

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai.chat_models.base import _construct_responses_api_input

from langchain_cachemux.read import metadata
from langchain_cachemux.read.thoughts import author, unfinished, without_foreign_thoughts

CALL = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}

ANTHROPIC = AIMessage(
    [
        {"type": "thinking", "thinking": "Let me see", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "text", "text": "I shall add."},
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
    ],
    tool_calls=[CALL],
    response_metadata={"model_name": "claude-sonnet-4-5-20250929", "model_provider": "anthropic"},
)
OPENAI = AIMessage(
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Z0FB"},
        {"type": "text", "text": "I shall add.", "id": "msg_1", "annotations": []},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "add",
            "arguments": "{}",
        },
    ],
    tool_calls=[CALL],
    additional_kwargs={"__openai_function_call_ids__": {"call_1": "fc_1"}},
    response_metadata={"model_name": "gpt-5-2025-08-07", "model_provider": "openai"},
)
GEMINI = AIMessage(
    [
        {"type": "thinking", "thinking": "Let me see"},
        {"type": "text", "text": "I shall add.", "extras": {"signature": "c2ln", "kept": 1}},
    ],
    tool_calls=[CALL],
    additional_kwargs={"__gemini_function_call_thought_signatures__": {"call_1": "c2ln"}},
    response_metadata={"model_name": "gemini-3-pro", "model_provider": "google_genai"},
)
DEEPSEEK = AIMessage(
    "I shall add.",
    tool_calls=[CALL],
    additional_kwargs={"reasoning_content": "Let me see", "kept": 1},
    response_metadata={"model_name": "deepseek-reasoner", "model_provider": "deepseek"},
)
STANDARD = AIMessage(
    [
        {"type": "reasoning", "reasoning": "Let me see", "extras": {"signature": "c2ln"}},
        {"type": "text", "text": "I shall add."},
        {**CALL, "extras": {"thought_signature": "c2ln"}},
    ],
    tool_calls=[CALL],
    response_metadata={"model_name": "claude-sonnet-4-5", "output_version": "v1"},
)
SIGNED = {"Anthropic": ANTHROPIC, "OpenAI": OPENAI, "Gemini": GEMINI, "DeepSeek": DEEPSEEK}
SIGNED["LangChain's standard"] = STANDARD
PLAIN = AIMessage("I shall add.", tool_calls=[CALL], response_metadata={"model_name": "gpt-4o"})
every_form = pytest.mark.parametrize("answer", SIGNED.values(), ids=SIGNED)


def turns(answer):
    return [HumanMessage("1 + 1?"), answer, ToolMessage("2", tool_call_id="call_1")]


def shown(answer, *names):
    [_, message, _] = without_foreign_thoughts(turns(answer), names)
    return message


def secrets(message):
    """What stands in a message that only its author may be shown."""
    words = ("c2ln", "c2VjcmV0", "Z0FB", "Let me see", "rs_1", "msg_1", "fc_1")
    return [word for word in words if word in str(message.model_dump())]


@every_form
def test_another_model_sees_what_was_said_and_called_and_nothing_of_what_was_thought(answer):
    before = deepcopy(answer)
    message = shown(answer, "another")
    assert secrets(answer)
    assert not secrets(message)
    assert (message.text, message.tool_calls) == ("I shall add.", [CALL])
    assert answer == before


@every_form
def test_a_model_is_shown_its_own_turn_as_it_was(answer):
    name = answer.response_metadata["model_name"]
    assert shown(answer, name) is answer
    assert shown(answer, "a name of the user's", name) is answer


def test_the_date_behind_a_name_makes_no_other_model():
    assert shown(ANTHROPIC, "claude-sonnet-4-5") is ANTHROPIC
    assert shown(OPENAI, "gpt-5") is OPENAI
    assert shown(OPENAI, "gpt-5-mini") is not OPENAI


def test_what_else_stands_in_a_turn_is_kept():
    assert shown(DEEPSEEK, "another").additional_kwargs == {"kept": 1}
    assert shown(GEMINI, "another").content[0]["extras"] == {"kept": 1}
    assert shown(ANTHROPIC, "another").content[-1] == ANTHROPIC.content[-1]


def test_a_turn_without_thoughts_and_one_of_nobody_are_left_as_they_are():
    nobody = ANTHROPIC.model_copy(update={"response_metadata": {}})
    assert shown(PLAIN, "another") is PLAIN
    assert shown(nobody, "another") is nobody


def test_the_multiplexers_own_account_goes_before_what_the_provider_says():
    answer = metadata.write(ANTHROPIC, routed("mine"))
    assert shown(answer, "mine") is answer
    assert not secrets(shown(answer, "claude-sonnet-4-5"))


def test_what_is_left_of_a_turn_is_what_openais_own_client_can_send():
    items = _construct_responses_api_input(turns(shown(OPENAI, "gpt-5-mini")))
    kinds = [item.get("type", item.get("role")) for item in items]
    assert kinds == ["message", "message", "function_call", "function_call_output"]
    assert not [item for item in items if "id" in item]


@every_form
def test_in_the_midst_of_tool_calls_a_model_that_thought_is_not_finished(answer):
    assert unfinished(turns(answer))
    assert unfinished([*turns(PLAIN), *turns(answer)])


@every_form
def test_once_it_has_answered_anybody_may_go_on(answer):
    assert not unfinished([*turns(answer), HumanMessage("And 2 + 2?")])
    assert not unfinished([*turns(answer), *turns(PLAIN)])
    assert not unfinished(turns(answer)[:2])


def test_who_answered_before_is_read_from_the_account_of_a_multiplexer_alone():
    assert author([HumanMessage("Hi")]) is None
    assert author(turns(PLAIN)) is None
    assert author(turns(metadata.write(PLAIN, routed("small")))) == ("small", 2.0)
    later = [*turns(metadata.write(PLAIN, routed("small"))), PLAIN]
    assert author(later) is None
    told = PLAIN.model_copy(update={"response_metadata": {"cachemux": {"model": "large"}}})
    assert author(turns(told)) is None


def routed(model):
    return {
        "id": "1",
        "model": model,
        "route": model,
        "reason": "",
        "escalated": False,
        "accepted": None,
        "estimates": {},
        "cost": 2.0,
        "seconds": 0.0,
    }
