"""Where in a prompt made from a template the question stands; all around it is material."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from langchain_cachemux.arguments import expect, takes

Split: TypeAlias = Callable[[str], tuple[str, str]]
"""Parts a human message into the question and all the rest of it, such as documents."""

_FIELD = re.compile(r"\{\{|\}\}|\{(\w*)\}")


def split_of(split: str | Split | None) -> Split:
    """Return what parts a message, of a function or of the template that made the message.

    A template is text with `{question}` in it and other fields, as `ChatPromptTemplate` takes it. The
    question is what stands between the words right before and right after that field; whoever writes
    these words into a question only makes it shorter, and the rest material. A message that was not
    made by the template is a question as a whole.

    Raises:
        ValueError: It is neither, the template has not just one field `{question}`, or another field
            touches it, so that nobody could tell where it begins.
    """
    if split is None:
        return _whole
    if not isinstance(split, str):
        expect(takes(split, 1), "split", "a template or a function of a text", split)
        return split
    literals, fields = _parts(split)
    single = 'a template with one field {question}, such as "{context}\\n\\nQuestion: {question}"'
    expect(fields.count("question") == 1, "split", single, split)
    at = fields.index("question")
    before, after = literals[at], literals[at + 1]
    apart = (before or at == 0) and (after or at + 1 == len(fields))
    expect(apart, "split", "a template with some words between {question} and other fields", split)

    def parted(text: str) -> tuple[str, str]:
        start = text.rfind(before) if at else 0 if text.startswith(before) else -1
        end = text.find(after, start + len(before)) if after else len(text)
        if min(start, end) < 0:
            return text, ""
        start += len(before)
        return text[start:end], f"{text[:start]}\0{text[end:]}"

    return parted


def _whole(text: str) -> tuple[str, str]:
    """A message without documents: all of it is the question."""
    return text, ""


def _parts(template: str) -> tuple[list[str], list[str]]:
    """The words between the fields, one more than fields, and the fields' names."""
    literals, fields, start = [""], [], 0
    for found in _FIELD.finditer(template):
        literals[-1] += template[start : found.start()]
        start = found.end()
        if found[1] is None:
            literals[-1] += found[0][0]
        else:
            fields.append(found[1])
            literals.append("")
    literals[-1] += template[start:]
    return literals, fields
