"""`split=`: documents that a template places around a question, told from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage

from langchain_cachemux import Reader
from langchain_cachemux.read.template import split_of

RAG = "Use the context.\n\nContext:\n{context}\n\nQuestion: {question}\nAnswer:"
FIRST = "{question}\n---\n{context}"


@pytest.mark.parametrize("template", [RAG, FIRST, "{context} Q: {question}", "{question}"])
@given(st.text(), st.text("abc {}\n", max_size=20))
def test_no_question_is_longer_than_it_was_asked_and_nothing_of_the_message_is_lost(
    template, context, question
):
    text = template.format(context=context, question=question)
    words, rest = split_of(template)(text)
    assert question.startswith(words) or question.endswith(words)
    before, _, after = rest.partition("\0") if rest and "\0" not in text else ("", "", "")
    if before or after:
        assert before + words + after == text


def test_the_question_is_what_stands_in_its_place():
    parted = split_of(RAG)
    assert parted(RAG.format(context="Rome.", question="Where?"))[0] == "Where?"
    assert parted(RAG.format(context="\n\nQuestion: no\nAnswer:", question="Where?"))[0] == "Where?"
    assert split_of(FIRST)("Where?\n---\nRome.") == ("Where?", "\0\n---\nRome.")


def test_a_message_that_the_template_did_not_make_is_a_question():
    for text in ("Where?", "Question: Where?", ""):
        assert split_of(RAG)(text) == (text, "")
    assert split_of("Q: {question}\n{context}")("Where?\nRome") == ("Where?\nRome", "")


def test_doubled_braces_are_single_ones_of_the_text():
    assert split_of('{{"q": "{question}"}}')('{"q": "Where?"}') == ("Where?", '{"q": "\0"}')


def test_a_function_may_part_it_too():
    assert split_of(lambda text: (text[-6:], text[:-6]))("Rome. Where?") == ("Where?", "Rome. ")


@pytest.mark.parametrize(
    "split", ["{context}", "{question}{context}", "{context}{question}", "{question} {question}", 3]
)
def test_what_cannot_part_a_message_is_refused(split):
    with pytest.raises(ValueError, match="split must be"):
        split_of(split)


class Zero:
    def embed_query(self, text):
        return [1.0]


def read(context, question, split=RAG):
    message = HumanMessage(RAG.format(context=context, question=question))
    return Reader(Zero(), split=split).read(dumps([message]), "m")


def test_the_same_question_about_other_documents_is_in_another_partition():
    rome, oslo = read("Rome is old.", "How old is the town?"), read("Oslo.", "How old is the town?")
    assert rome.text == oslo.text == "How old is the town?"
    assert rome.partition != oslo.partition
    assert read("Rome is old.", "What is its age?").partition == rome.partition
    assert read("Rome is old.", "How old is the town?").key == rome.key


def test_a_pronoun_may_refer_to_the_documents():
    assert read("Rome is old.", "What is its age?").text == "What is its age?"


def test_documents_may_be_longer_than_what_is_compared():
    assert read("Rome. " * 1000, "How old?").text == "How old?"
    assert read("Rome. " * 1000, "How old?", split=None).text == ""
