"""CSV files in the dialects that spreadsheets and scripts write."""

import codecs

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maagiqa_pyiqa.support.csv_files import as_csv, frame_as_csv, read_csv

PLAIN = 'name,mos,prompt\na.png,3.5,"a cat, sitting"\nb.png,1.25,"says ""hi"""\n'
EXPECTED = pandas.DataFrame({"name": ["a.png", "b.png"], "mos": [3.5, 1.25], "prompt": ["a cat, sitting", 'says "hi"']})
SEMICOLONS = 'name;mos;prompt\na.png;3,5;a cat, sitting\nb.png;1,25;"says ""hi"""\n'
TABS = 'name\tmos\tprompt\na.png\t3.5\ta cat, sitting\nb.png\t1.25\t"says ""hi"""\n'


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        codecs.BOM_UTF8 + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        SEMICOLONS.encode(),
        SEMICOLONS.replace("3,5", "3.5").replace("1,25", "1.25").encode(),
        TABS.encode(),
        TABS.replace("\t", "|").encode("utf-16"),
    ],
)
def test_dialects_give_the_same_table(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    table = read_csv(tmp_path / "a.csv")
    table["mos"] = pandas.to_numeric(table["mos"])
    pandas.testing.assert_frame_equal(table, EXPECTED, check_dtype=False)


def test_text_stays_text(tmp_path):
    (tmp_path / "a.csv").write_text("name,part\n001,NA\n")
    assert read_csv(tmp_path / "a.csv", as_text=True).to_dict("list") == {"name": ["001"], "part": ["NA"]}


def test_one_column_is_a_table_too(tmp_path):
    (tmp_path / "a.csv").write_text("name\na.png\n")
    assert list(read_csv(tmp_path / "a.csv")["name"]) == ["a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'.*a.csv' is empty; it needs a row of column names"),
        (b"\n \n", "is empty"),
        (
            "name,mos\na.png,1\ncaf\u00e9.png,2\n".encode("latin-1"),
            "row 3: byte 0xe9 is not UTF-8",
        ),
        (PLAIN.encode("utf-16-le"), "row 1 holds zero bytes: it is no text, or UTF-16 without a mark"),
        (b"name,mos\na.png,1\nb.png,2,3\n", "Expected 2 fields in line 3, saw 3.* needs quotes"),
        (b"name,mos,mos\na.png,1,2\n", "column 'mos' stands twice"),
    ],
)
def test_what_cannot_be_read_is_named_with_row_and_remedy(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_csv(tmp_path / "a.csv")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv' does not exist"):
        read_csv(tmp_path / "absent.csv")


@settings(max_examples=300)
@given(content=st.binary(max_size=200))
def test_whatever_the_bytes_there_is_a_table_or_one_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(content)
    message = str(path)  # stands for a table
    try:
        read_csv(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message


def test_a_written_table_reads_back_with_its_words_made_harmless(tmp_path):
    rows = [["=1+1", -2.5], ["a\rb", 3.0], ["two\nlines; 'quoted'", None]]
    (tmp_path / "a.csv").write_text(as_csv(["@name", "mos"], rows), encoding="utf-8", newline="")
    table = read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["'@name", "mos"]
    assert list(table["'@name"]) == ["'=1+1", "a\rb", "two\nlines; 'quoted'"]
    assert list(table["mos"])[:2] == [-2.5, 3.0]


def test_a_table_of_pandas_keeps_its_numbers_and_loses_its_formulas():
    frame = pandas.DataFrame({"name": ["-a.png", "b.png"], "mos": [-1.5, 2.0], "part": ["test", None]})
    assert frame_as_csv(frame) == "name,mos,part\n'-a.png,-1.5,test\nb.png,2.0,\n"
