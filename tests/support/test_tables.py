"""Tables by the name's ending: CSV, Parquet and JSON lines give the same rows, and what is none says why."""

import io

import pandas
import pytest

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.tables import is_table, parse_table, read_table

FRAME = pandas.DataFrame({"name": ["001", "NA", "é"], "mos": [1.5, 2.0, 3.25], "tags": [["a"], [], ["b"]]})


def contents():
    parquet = io.BytesIO()
    FRAME.to_parquet(parquet)
    lines = FRAME.to_json(orient="records", lines=True)
    return {
        "a.csv": FRAME.drop(columns="tags").to_csv(index=False).encode(),
        "a.tsv": FRAME.drop(columns="tags").to_csv(index=False, sep="\t").encode(),
        "a.parquet": parquet.getvalue(),
        "a.jsonl": lines.encode(),
        "A.NDJSON": lines.encode() + b"\n\n",
    }


@pytest.mark.parametrize("name", contents())
def test_every_format_holds_the_same_cells_and_leaves_lists_out(tmp_path, name):
    (tmp_path / name).write_bytes(contents()[name])
    assert is_table(tmp_path / name)
    text = read_table(tmp_path / name, as_text=True)
    assert text.to_dict("list") == {"name": ["001", "NA", "é"], "mos": ["1.5", "2.0", "3.25"]}
    assert list(read_table(tmp_path / name)["mos"]) == [1.5, 2.0, 3.25]


def test_a_name_that_is_no_unicode_is_as_in_a_csv():
    table = parse_table(b'{"name": "caf\\udce9.png"}', "a.jsonl", as_text=True)
    assert table["name"][0] == r"caf\udce9.png"


def test_what_is_absent_from_a_line_is_an_empty_cell():
    table = parse_table(b'{"name": "a"}\n{"name": "b", "prompt": null}\n{"prompt": "c"}\n', "a.jsonl", as_text=True)
    assert table.to_dict("list") == {"name": ["a", "b", ""], "prompt": ["", "", "c"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"name": "a"}\n{"name": \n', r"'a.jsonl', line 2 is no JSON"),
        ("a.jsonl", b'["a"]\n', r"line 1 is no object of JSON but '\[\"a\"\]'"),
        ("a.jsonl", b"\n", "is empty; it needs an object of JSON a line"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.parquet", b"no parquet", "'a.parquet' cannot be read as Parquet"),
        ("a.csv", b"", "is empty"),
    ],
)
def test_what_is_no_table_says_where_and_why(name, content, message):
    with pytest.raises(InputError, match=message):
        parse_table(content, name)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv"])
def test_an_absent_table_is_an_absent_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_table(tmp_path / name)
