"""Every format reads alike, what is malformed is named by its line, and the file is let go of."""

import csv
import dataclasses
import gzip
import hashlib
import io
import json
import os
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_cachemux.lab.traces import FORMATS, Trace
from langchain_cachemux.types import Request

DATA = os.environ.get("CACHEMUX_DATA")
GZIP = ["", ".gz"]
MANY = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(10_000)]
"""Keys that no compression brings below what is read at once."""


@pytest.fixture
def write(tmp_path):
    """Write a file of this name and content; its path."""

    def write(name, content):
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def said(path, **options):
    """What is said of the malformed file, without its folder."""
    with pytest.raises(ValueError, match=r"^.*:\d+: ") as caught:
        list(Trace(path, **options))
    return str(caught.value).removeprefix(f"{path.parent}{os.sep}")


def table(separator, rows):
    return "".join(separator.join(row.split()) + "\n" for row in rows)


ROWS = [
    "time key cost size cost_small cost_large ok_small ok_large note",
    "0.5 a 2 10 0.1 3 false true x",
    "1 b 4e0 20 0.2 0 1 0 y",
]
OBJECTS = """
{"time": 0.5, "key": "a", "cost": 2, "size": 10, "cost_small": 0.1, "cost_large": 3, "ok": {"small": false, "large": true}}
{"ok_large": 0, "ok_small": 1, "costs": {"large": 0, "small": 0.2}, "size": 20, "cost": 4.0, "key": "b", "time": 1, "note": {}}
""".lstrip()  # noqa: E501
REQUESTS = [
    Request("a", 2.0, 10, 0.5, {"small": 0.1, "large": 3.0}, {"small": False, "large": True}),
    Request("b", 4.0, 20, 1.0, {"small": 0.2, "large": 0.0}, {"small": True, "large": False}),
]
CONTENTS = {
    ".csv": table(",", ROWS),
    ".tsv": table("\t", ROWS),
    ".jsonl": OBJECTS,
    ".ndjson": OBJECTS,
}


def ordered(requests):
    """All of each request, the order of its models too."""
    return [(r, list(r.costs), list(r.ok), type(r.cost), type(r.time)) for r in requests]


@pytest.mark.parametrize("gz", GZIP)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_reads_the_same_requests(write, suffix, gz):
    trace = Trace(write(f"t{suffix}{gz}", CONTENTS[suffix]))
    assert ordered(trace) == ordered(REQUESTS)
    assert trace.skipped == 0


@pytest.mark.parametrize(
    ("suffix", "content"), [(".csv", "key\na\n"), (".tsv", "key\na\n"), (".jsonl", '{"key": "a"}')]
)
def test_only_the_key_is_needed(write, suffix, content):
    assert list(Trace(write(f"t{suffix}", content))) == [Request("a")]
    assert Request("a") == Request("a", cost=1.0, size=1, time=None, costs={}, ok={})


@pytest.mark.parametrize("suffix", FORMATS)
def test_line_ends_of_windows_a_byte_order_mark_and_no_last_line_end_make_no_difference(
    write, suffix
):
    content = "\ufeff" + CONTENTS[suffix].removesuffix("\n").replace("\n", "\r\n")
    assert list(Trace(write(f"t{suffix}", content))) == REQUESTS


def test_suffixes_are_read_in_any_case_and_spaces_around_a_column_are_not_its_name(write):
    assert list(Trace(write("T.CSV", "cost, key \n2,a\n"))) == [Request("a", 2.0)]
    path = write("t.tsv.gz", "key\na\n")
    assert list(Trace(path.rename(path.with_name("T.TSV.GZ")))) == [Request("a")]


@pytest.mark.parametrize("name", ["t.txt", "t", "csv", "t.gz", "t.csv.bz2", "t.jsonl.gz.gz"])
def test_another_format_is_refused_with_those_there_are(tmp_path, name):
    with pytest.raises(ValueError, match=rf"\.csv, \.tsv, \.jsonl, \.ndjson.*\.gz, got .*{name}"):
        Trace(tmp_path / name)


def test_a_file_that_is_not_there_is_missed_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        Trace(str(tmp_path / "t.csv"))


keys = st.text(st.characters(codec="utf-8"), min_size=1)
costs = st.floats(0.0, 1e35)
models = st.lists(st.sampled_from(["small", "large", "gpt-4", "ä b"]), unique=True)


@st.composite
def requests(draw, key=keys):
    """A few requests of one trace: all with the same models."""
    names, timed = draw(models), draw(st.booleans())
    judged = [name for name in draw(models) if name in names]
    by_model = [
        st.tuples(*[values] * len(of)).map(lambda drawn, of=of: dict(zip(of, drawn, strict=True)))
        for of, values in ((names, costs), (judged, st.booleans()))
    ]
    times = st.floats(allow_nan=False, allow_infinity=False) if timed else st.none()
    one = st.builds(Request, key, costs, st.integers(1, 10**15), times, *by_model)
    return draw(st.lists(one, min_size=1, max_size=5))


def columns(request):
    """One request as the columns of a table."""
    return {
        "key": request.key,
        "cost": repr(request.cost),
        "size": str(request.size),
        **({} if request.time is None else {"time": repr(request.time)}),
        **{f"cost_{model}": repr(cost) for model, cost in request.costs.items()},
        **{f"ok_{model}": str(ok) for model, ok in request.ok.items()},
    }


@given(requests())
def test_csv_written_by_the_csv_module_reads_equal(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("trace") / "t.csv.gz"
    rows = [columns(request) for request in wanted]
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert list(Trace(path)) == wanted


@given(requests(keys.filter(lambda key: not set("\t\r\n") & set(key))), st.sampled_from(["", "\r"]))
def test_tsv_joined_by_tabs_reads_equal(tmp_path_factory, wanted, end):
    path = tmp_path_factory.mktemp("trace") / "t.tsv"
    rows = [columns(request) for request in wanted]
    lines = ["\t".join(row) for row in [list(rows[0]), *(row.values() for row in rows)]]
    path.write_bytes("".join(f"{line}{end}\n" for line in lines).encode())
    assert list(Trace(path)) == wanted


@given(requests(), st.booleans())
def test_json_of_requests_reads_equal(tmp_path_factory, wanted, ascii_only):
    path = tmp_path_factory.mktemp("trace") / "t.jsonl"
    lines = [json.dumps(dataclasses.asdict(r), ensure_ascii=ascii_only) + "\n" for r in wanted]
    path.write_bytes("".join(lines).encode())
    assert list(Trace(path)) == wanted


def test_a_quote_in_tsv_is_a_character_like_any_other(write):
    path = write("t.tsv", 'key\n"a\n""\n\'b"\n')
    assert [request.key for request in Trace(path)] == ['"a', '""', "'b\""]


def test_a_prompt_longer_than_a_csv_field_reads_in_tsv_and_json(write):
    key = "x" * (csv.field_size_limit() + 1)
    assert next(iter(Trace(write("t.tsv", f"key\n{key}\n")))).key == key
    assert next(iter(Trace(write("t.jsonl", json.dumps({"key": key}))))).key == key
    assert said(write("t.csv", f"key\na\n{key}\n")).startswith("t.csv:3: field larger than")


BAD_CSV = {
    # line 3 of a table of key, cost, size, time, cost_m, ok_m
    "b,1,1,1,1": "6 fields were expected (key, cost, size, time, cost_m, ok_m), got 5: ['b', '1'",
    "b,1,1,1,1,1,1": "6 fields were expected (key, cost, size, time, cost_m, ok_m), got 7: ['b', '1'",
    "": "6 fields were expected (key, cost, size, time, cost_m, ok_m), got 0: []",
    ",1,1,1,1,1": "key must be not empty, got ''",
    "b,x,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got 'x'",
    "b,,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got ''",
    "b,-1,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got '-1'",
    "b,nan,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got 'nan'",
    "b,1e36,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got '1e36'",
    "b,inf,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got 'inf'",
    "b,1_0,1,1,1,1": "cost must be a number >= 0 and below 1e+36, got '1_0'",
    "b,1,0,1,1,1": "size must be an integer from 1 to 10**15, got '0'",
    "b,1,1.5,1,1,1": "size must be an integer from 1 to 10**15, got '1.5'",
    "b,1,1_0,1,1,1": "size must be an integer from 1 to 10**15, got '1_0'",
    "b,1,1,noon,1,1": "time must be a finite number of seconds, got 'noon'",
    "b,1,1,-inf,1,1": "time must be a finite number of seconds, got '-inf'",
    "b,1,1,1,-2,1": "cost_m must be a number >= 0 and below 1e+36, got '-2'",
    "b,1,1,1,1,yes": "ok_m must be true, false, 1 or 0, got 'yes'",
    "b,1,1,1,1,": "ok_m must be true, false, 1 or 0, got ''",
    '"b"c,1,1,1,1,1': "',' expected after '\"'",
}


@pytest.mark.parametrize("line", BAD_CSV)
def test_a_malformed_line_of_a_table_is_named_or_skipped(write, line):
    content = f"key,cost,size,time,cost_m,ok_m\na,1,1,-5,1,TRUE\n{line}\nc,1,1,1e3,1,0\n"
    path = write("t.csv", content)
    assert said(path).startswith(f"t.csv:3: {BAD_CSV[line]}")
    trace = Trace(path, skip_bad=True)
    assert [request.key for request in trace] == ["a", "c"]
    assert trace.skipped == 1


BAD_JSON = {
    # the first line has costs of s and l, and ok of s
    '{"key": "b"': 'a JSON object was expected, got \'{"key": "b"',
    "": "a JSON object was expected, got '\\n'",
    "[]": "a JSON object was expected, got '[]",
    "[" * 100_000: "a JSON object was expected, got '[[[",
    "1" * 5_000: "a JSON object was expected, got '111",
    "{}": "key must be a string, not empty, got None",
    '{"key": ""}': "key must be a string, not empty, got ''",
    '{"key": 7}': "key must be a string, not empty, got 7",
    '{"key": "\\ud800"}': "'utf-8' codec can't encode character '\\ud800'",
    '{"key": "b", "cost": true}': "cost must be a number >= 0 and below 1e+36, got True",
    '{"key": "b", "cost": null}': "cost must be a number >= 0 and below 1e+36, got None",
    '{"key": "b", "cost": [1]}': "cost must be a number >= 0 and below 1e+36, got [1]",
    '{"key": "b", "cost": NaN}': "cost must be a number >= 0 and below 1e+36, got nan",
    f'{{"key": "b", "cost": 1{"0" * 400}}}': "cost must be a number >= 0 and below 1e+36, got 1000",
    '{"key": "b", "size": 1.0}': "size must be an integer from 1 to 10**15, got 1.0",
    '{"key": "b", "size": Infinity}': "size must be an integer from 1 to 10**15, got inf",
    '{"key": "b", "size": true}': "size must be an integer from 1 to 10**15, got True",
    '{"key": "b", "time": "noon"}': "time must be a finite number of seconds, got 'noon'",
    '{"key": "b", "costs": 3}': "costs must be an object of values by model, got 3",
    '{"key": "b", "costs": {"s": 1, "l": 1}, "ok": true}': "ok must be an object of values by "
    "model, got True",
    '{"key": "b", "cost_s": 1}': "costs must be of the models of the first line, ['l', 's'], got ['s']",
    '{"key": "b", "costs": {"s": 1, "l": 1, "x": 1}}': "costs must be of the models of the first line",
    '{"key": "b", "costs": {"s": 1}, "cost_s": 1}': "costs and cost_<model> must not name one model "
    "twice, got ['s']",
    '{"key": "b", "costs": {"s": -1, "l": 1}}': "cost_s must be a number >= 0 and below 1e+36, got -1",
    '{"key": "b", "costs": {"s": 1, "l": 1}}': "ok must be of the models of the first line, ['s'], "
    "got []",
    '{"key": "b", "costs": {"s": 1, "l": 1}, "ok_s": 2}': "ok_s must be true, false, 1 or 0, got 2",
    '{"key": "b", "costs": {"s": 1, "l": 1}, "ok_s": {}}': "ok_s must be true, false, 1 or 0, got {}",
}


@pytest.mark.parametrize("line", BAD_JSON, ids=lambda line: line[:50])
def test_a_malformed_line_of_json_is_named_or_skipped(write, line):
    good = '{"key": "%s", "cost_s": 1, "costs": {"l": "2"}, "ok": {"s": 1}}\n'
    path = write("t.jsonl", f"{good % 'a'}{line}\n{good % 'c'}")
    assert said(path).startswith(f"t.jsonl:2: {BAD_JSON[line]}")
    trace = Trace(path, skip_bad=True)
    assert [request.key for request in trace] == ["a", "c"]
    assert trace.skipped == 1


def test_a_malformed_first_line_of_json_says_nothing_of_the_models(write):
    path = write("t.jsonl", '{"key": "", "cost_x": 1}\n{"key": "a", "cost_s": 1}\n')
    assert list(Trace(path, skip_bad=True)) == [Request("a", costs={"s": 1.0})]


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_header_that_is_malformed_always_raises(write, skip_bad):
    def of(content, name="t.tsv"):
        return said(write(name, content), skip_bad=skip_bad)

    expected = "a header with a column key was expected, and if wanted time, cost, size,"
    assert of("").startswith(f"t.tsv:1: {expected}")
    assert of("", "t.csv").startswith(f"t.csv:1: {expected}")
    assert of("a\t1\nb\t2\n").endswith("got 'a, 1'")
    assert of("key;cost\na;1\n", "t.csv").endswith("got 'key;cost'")
    assert of("key\tcost_a\tx\tcost_a\tx\n").endswith("once, got cost_a more than once")
    assert of(b"key\xff\n").startswith(
        "t.tsv:1: 'utf-8' codec can't decode byte 0xff in position 3"
    )
    assert of('"key\n', "t.csv") == "t.csv:1: unexpected end of data"


@pytest.mark.parametrize("gz", GZIP)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_bad_utf_8_is_the_fault_of_its_line_alone(write, suffix, gz):
    keys = [b"\xc3\xa4", b"b", b"\xff", b"d"]
    lines = [b'{"key": "%s"}' % k for k in keys] if suffix == ".jsonl" else [b"key", *keys]
    path = write(f"t{suffix}{gz}", b"\n".join(lines))
    assert said(path).startswith(f"t{suffix}{gz}:{lines.index(lines[-2]) + 1}: 'utf-8' codec can't")
    trace = Trace(path, skip_bad=True)
    assert [request.key for request in trace] == ["ä", "b", "d"]
    assert trace.skipped == 1


def test_a_record_over_several_lines_goes_by_its_first_and_is_skipped_whole(write):
    # lines: 1 header, 2-4 a good record, 5-6 a bad one, 7 good, 8 bad
    path = write("t.csv", 'key,cost\n"a\r\n\r\nb",1\n"c\nd",x\ne,2\n,3\n')
    assert said(path).startswith("t.csv:5: cost must be")
    trace = Trace(path, skip_bad=True)
    assert [(r.key, r.cost) for r in trace] == [("a\r\n\r\nb", 1.0), ("e", 2.0)]
    assert trace.skipped == 3


def test_a_quote_that_is_never_closed_is_named_by_the_line_it_opens_on(write):
    path = write("t.csv", 'key\na\n"b\nc\nd\n')
    assert said(path) == "t.csv:3: unexpected end of data"
    trace = Trace(path, skip_bad=True)
    assert list(trace) == [Request("a")]
    assert trace.skipped == 3  # nobody can know where it was to close


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_damaged_gzip_always_raises_and_says_where(write, skip_bad):
    path = write("t.tsv.gz", "\n".join(["key", *MANY, ""]))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    got = []
    with pytest.raises(ValueError, match="ended before the end") as caught:
        got.extend(request.key for request in Trace(path, skip_bad=skip_bad))
    assert 0 < len(got) < len(MANY)
    assert got == MANY[: len(got)]
    assert f"t.tsv.gz:{len(got) + 2}: a whole gzip was expected: " in str(caught.value)

    path.write_bytes(whole[:-8] + b"\0" * 8)
    assert "a whole gzip was expected: CRC check failed" in said(path, skip_bad=skip_bad)
    path.write_bytes(whole[:10] + b"\xff" * 100)
    assert "t.tsv.gz:1: a whole gzip was expected: Error -3" in said(path, skip_bad=skip_bad)
    path.write_bytes(b"key\na\n")
    assert said(path, skip_bad=skip_bad).startswith(
        "t.tsv.gz:1: a whole gzip was expected: Not a gzip"
    )


def test_each_iteration_reads_anew_and_counts_anew(write):
    path = write("t.tsv", "key\na\n\nb\n")
    trace = Trace(path, skip_bad=True)
    assert list(trace) == list(trace) == [Request("a"), Request("b")]
    assert trace.skipped == 1
    assert list(zip(trace, trace, strict=True))[1] == (Request("b"), Request("b"))
    path.write_text("key\nc\n")
    assert list(trace) == [Request("c")]
    assert trace.skipped == 0


def test_requests_share_nothing_that_could_be_changed(write):
    one, two = Trace(write("t.tsv", "key\na\na\n"))
    one.costs["m"] = 1.0
    assert two.costs == {}


@pytest.mark.parametrize("gz", GZIP)
def test_position_goes_from_nothing_to_the_length_of_the_file(write, gz):
    path = write(f"t.tsv{gz}", "\n".join(["key", *MANY]))
    trace = Trace(path)
    assert (trace.position, trace.length) == (0, path.stat().st_size)
    seen = [trace.position for _ in trace]
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[5_000] < trace.length
    assert trace.position == trace.length
    next(kept := iter(trace))
    assert 0 < trace.position < trace.length
    kept.close()
    assert 0 < trace.position < trace.length


@pytest.mark.parametrize("gz", GZIP)
def test_a_loop_that_stops_early_closes_the_file(write, gz, monkeypatch):
    path, opened = write(f"t.tsv{gz}", "key\na\nb\n"), []
    real = io.open

    def spy(*arguments, **options):
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(io, "open", spy)
    trace = Trace(path)
    for _ in trace:
        break
    next(kept := iter(trace))
    assert [file.closed for file in opened] == [True, False]
    kept.close()
    assert list(islice(trace, 1)) == [Request("a")]
    path.write_bytes(b"x")
    said(path)
    assert [file.closed for file in opened[1:3]] == [True, True]
    assert opened[-1].closed


def test_no_more_is_held_than_a_line_and_a_buffer(write):
    path = write("t.tsv", "\n".join(["key", *MANY * 10]))
    tracemalloc.start()
    asked = sum(1 for _ in Trace(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert asked == 100_000
    assert peak < path.stat().st_size / 20


REAL = {
    "apache10k.tsv.gz": (10_000, 1_498),
    "bing_corona_jan2020.tsv.gz": (33_871, 6_265),
    "cache2k_orm_busy_1M.tsv.gz": (1_000_000, 44_178),
    "cache2k_web07.tsv.gz": (76_118, 20_484),
    "gcc_penalties.tsv.gz": (515_683, 35_070),
    "sparql_wd_valid10k.tsv.gz": (10_000, 4_902),
}


@pytest.mark.skipif(not DATA, reason="CACHEMUX_DATA names no folder of traces")
@pytest.mark.parametrize("name", REAL)
def test_a_real_trace_reads_whole(name):
    trace, asked, distinct = Trace(Path(DATA) / "traces" / name), 0, set()
    for request in trace:
        asked += 1
        distinct.add(request.key)
    assert (asked, len(distinct)) == REAL[name]
    assert trace.position == trace.length


@pytest.mark.skipif(not DATA, reason="CACHEMUX_DATA names no folder of traces")
@pytest.mark.parametrize(
    "name", ["azure_llm_code_2023.csv.gz", "mooncake_conversation_trace.jsonl.gz"]
)
def test_a_real_trace_without_keys_says_so(name):
    assert f"{name}:1: " in said(Path(DATA) / "traces" / name)


ALONE = {
    ".csv": "key,cost_small,ok_Small,cost_large,ok_large\na,1,1,9,1\n",
    ".tsv": "key\tcost_small\tok_Small\tcost_large\tok_large\na\t1\t1\t9\t1\n",
    ".jsonl": '{"key": "a", "costs": {"small": 1, "large": 9}, "ok": {"Small": 1, "large": 1}}\n',
    ".ndjson": '{"key": "a", "cost_small": 1, "cost_large": 9, "ok_Small": 1, "ok_large": 1}\n',
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_ok_of_a_model_without_a_cost_is_refused(write, suffix):
    path = write(f"t{suffix}", ALONE[suffix])
    told = f"t{suffix}:1: each ok_<model> was expected beside its cost_<model>, got ok_Small alone"
    assert said(path) == told
    path.write_text(ALONE[suffix].replace("Small", "small"))
    assert list(Trace(path)) == [
        Request("a", 1.0, 1, None, {"small": 1.0, "large": 9.0}, {"small": True, "large": True})
    ]


def test_an_ok_without_any_cost_of_a_model_is_refused_and_of_a_later_line_too(write):
    content = "key,cost,ok_small\na,1,1\n"
    assert said(write("t.csv", content), skip_bad=True).endswith("got ok_small alone")
    line = '{"key": "a", "costs": {"s": 1}, "ok": {"s": 1}}\n'
    path = write("t.jsonl", line.replace("ok", "other") + line + '{"key": "b", "ok_x": 1}\n')
    assert said(path).startswith("t.jsonl:2: ok must be of the models of the first line, [], got")
    path = write("t.jsonl", '{"key": "b", "ok_x": 1}\n' + line)
    assert said(path).startswith("t.jsonl:1: each ok_<model> was expected beside its cost_<model>")
    assert [request.key for request in Trace(path, skip_bad=True)] == ["a"]


@pytest.mark.parametrize("size", [10**15 + 1, 2**63, 10**30])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_size_that_no_answer_has_is_malformed(write, suffix, size):
    largest = {".csv": "key,size\na,{}\n", ".tsv": "key\tsize\na\t{}\n"}.get(
        suffix, '{{"size": {}, "key": "a"}}\n'
    )
    told = said(write(f"t{suffix}", largest.format(size)))
    line = 1 if suffix == ".jsonl" else 2
    assert told.startswith(f"t{suffix}:{line}: size must be an integer from 1 to 10**15, got ")
    assert [r.size for r in Trace(write(f"t{suffix}", largest.format(10**15)))] == [10**15]


def test_where_bytes_are_counted_a_table_needs_its_column_size(write):
    path = write("t.csv", "key,cost\na,2\n")
    for skip_bad in (False, True):
        told = said(path, sized=True, skip_bad=skip_bad)
        assert told == "t.csv:1: size was expected, because bytes are counted; got 'key, cost'"
    assert [*Trace(write("t.tsv", "key\tsize\na\t2\n"), sized=True)] == [Request("a", size=2)]


def test_where_bytes_are_counted_a_line_of_json_without_a_size_is_malformed(write):
    path = write(
        "t.jsonl", '{"key": "a", "size": 2}\n{"key": "b", "cost": 3}\n{"key": "c", "size": 4}'
    )
    told = "t.jsonl:2: size was expected, because bytes are counted; got 'key, cost'"
    assert said(path, sized=True) == told
    trace = Trace(path, sized=True, skip_bad=True)
    assert [(request.key, request.size) for request in trace] == [("a", 2), ("c", 4)]
    assert trace.skipped == 1
    assert [request.size for request in Trace(path)] == [2, 1, 4]
