"""What fits into a head: files of at most 600 lines, functions of at most 60 lines of code."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "langchain_cachemux"
FILES = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def lines(node):
    return set(range(node.lineno, node.end_lineno + 1))


def sizes(source):
    """Lines of code of each function: its signature and body, without docstrings, comments, blanks."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {n for t in tokens if t.type not in LAYOUT for n in range(t.start[0], t.end[0] + 1)}
    nodes = [*ast.walk(ast.parse(source))]
    for node in nodes:
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            code -= lines(node.body[0])
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {function.name: len(lines(function) & code) for function in functions}


def test_code_is_counted_without_what_is_said_about_it():
    source = '''
async def f(
    a,
):
    """Say something.

    At length.
    """
    # why

    text = """one
    two"""

    def g():
        return a
    return text
'''
    assert sizes(source) == {"f": 8, "g": 2}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_has_at_most_600_lines_and_a_function_60_of_code(name):
    assert len(FILES[name].splitlines()) <= 600
    assert {f: size for f, size in sizes(FILES[name]).items() if size > 60} == {}
