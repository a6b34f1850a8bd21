"""No six lines of logic stand twice in the package.

A function's logic is its statements and the heads of its blocks, a line each, in the order in which they
stand. Two lines are equal when they are but for names, attributes, constants and `await`: a copy for use
in a loop is a copy. What says nothing is not counted: signatures, docstrings, imports, `pass`, a bare
`try`, `else` or `finally`, and an argument that is stored as it is. A message and the error raised with
it are one line.
"""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "langchain_cachemux"
FILES = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
MANY = 6
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
SAYS_NOTHING = {"pass", "try:", "else:", "finally:", "_._ = _"}


class Shape(ast.NodeTransformer):
    """What is left of code without what things are called."""

    def generic_visit(self, node):
        super().generic_visit(node)
        for name in ("id", "attr", "arg", "name", "asname", "rest"):
            if isinstance(getattr(node, name, None), str):
                setattr(node, name, "_")
        return node

    def visit_Constant(self, node):
        return ast.Name("_")

    def visit_JoinedStr(self, node):
        return ast.Name("_")

    def visit_Await(self, node):
        return self.visit(node.value)

    def visit_Expr(self, node):
        return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Import(self, node):
        return ast.Pass()

    def visit_ImportFrom(self, node):
        return ast.Pass()


def logic(function):
    """A function's lines of logic, without names."""
    body = ast.unparse(ast.Module([Shape().visit(node) for node in function.body], []))
    kept = []
    for line in map(str.strip, body.replace("async ", "").splitlines()):
        if line in SAYS_NOTHING or line.startswith(("def ", "class ", "@")):
            continue
        if line.startswith("raise ") and kept and kept[-1] == "_ = _":
            kept.pop()
        kept.append(line)
    return kept


def functions(node, name):
    """Every function with its name, but none within another: its lines are counted in that one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTION):
            yield f"{name}.{child.name}", child
        else:
            yield from functions(child, f"{name}.{getattr(child, 'name', '')}".removesuffix("."))


def repeated(files, many=MANY):
    """The runs of so many lines of logic that stand twice, and where."""
    places = defaultdict(list)
    for path, source in files.items():
        for name, function in functions(ast.parse(source), path):
            lines = logic(function)
            for first in range(len(lines) - many + 1):
                places[tuple(lines[first : first + many])].append(name)
    return {"\n".join(run): " ~ ".join(names) for run, names in places.items() if len(names) > 1}


TWICE = '''
class Judge:
    def judge(self, messages):
        """Say whether it will do."""
        found = []
        for judge in self.judges:
            try:
                said = judge.ask(messages)
            except ValueError as error:
                said = f"failed: {error}"
            found.append(said)
        return found
'''


def test_a_copy_is_found_whatever_its_names_and_whether_or_not_it_awaits():
    copy = TWICE.replace("def judge", "async def ajudge").replace("judge.ask", "await judge.aask")
    copy = copy.replace("for", "async for").replace("found", "told").replace("failed", "raised")
    copy = copy.replace("            try:", "            import json\n\n            try:")
    run = "_ = []\nfor _ in _._:\n_ = _._(_)\nexcept _ as _:\n_ = _\n_._(_)"
    found = repeated({"a.py": TWICE, "b.py": copy})
    assert found[run] == "a.py.Judge.judge ~ b.py.Judge.ajudge"


def test_what_is_stored_imported_or_refused_is_not_taken_for_logic():
    source = '''
def {}(self, a, b, c):
    """Store."""
    import os
    if a is None:
        msg = f"a must be given, got {{a!r}}"
        raise ValueError(msg)
    try:
        self.a = a
        self.b = b
        self.c = c
    finally:
        pass
    self.d = d(a)
    return self
'''
    files = {"a.py": source.format("one"), "b.py": source.format("two")}
    assert repeated(files) == {}
    same = ["if _ is _:", "raise _(_)", "_._ = _(_)", "return _"]
    assert repeated(files, len(same)) == {"\n".join(same): "a.py.one ~ b.py.two"}


def test_no_six_lines_of_logic_stand_twice():
    assert repeated(FILES) == {}
