"""Words of strangers: without effect on terminals and in spreadsheets."""

import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maagiqa_pyiqa.support.text import encodable, from_encodable, from_spreadsheet, printable, spreadsheet_safe


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.png", "a b.png"),
        ("bild-\u00e4\u754c.png", "bild-\u00e4\u754c.png"),
        ("x\n   1    5.0000  forged.png", r"x\n   1    5.0000  forged.png"),
        ("\x1b[2Ja", r"\x1b[2Ja"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\udce9.png"),
    ],
)
def test_control_and_undecodable_characters_are_written_out(name, shown):
    assert printable(name) == shown


@given(st.text(st.characters(), max_size=20))
def test_what_is_printable_is_one_line_that_any_terminal_takes(text):
    assert printable(text).isprintable()
    printable(text).encode("utf-8")


@given(st.text(max_size=20))
def test_no_cell_is_a_formula_and_every_cell_comes_back(text):
    cell = spreadsheet_safe(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    if not text.startswith("'"):
        assert from_spreadsheet(cell) == text


def test_a_csv_with_such_a_cell_reads_back():
    text = io.StringIO()
    csv.writer(text).writerow([spreadsheet_safe('=HYPERLINK("http://x")')])
    assert from_spreadsheet(next(csv.reader(io.StringIO(text.getvalue())))[0]) == '=HYPERLINK("http://x")'


@given(st.binary(max_size=20))
def test_every_file_name_can_be_encoded_and_comes_back(name):
    text = os.fsdecode(name)
    encodable(text).encode("utf-8")
    if "\\udc" not in text:
        assert from_encodable(encodable(text)) == text
