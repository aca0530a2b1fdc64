"""CSV rows and path templates; what is wrong with a table is said with its line or its columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import UserError
from spavl.stages.images.config import Columns
from spavl.stages.images.table import check_columns, fill_template, parse_table


def test_rows_are_read_by_header_with_bom_blank_lines_and_quotes():
    table = parse_table(b'\xef\xbb\xbffile,label\r\na.png,"hate, or not"\r\n\r\n"b\nc.png",x\r\n', "t.csv")
    assert table.columns == ("file", "label")
    assert table.rows == ({"file": "a.png", "label": "hate, or not"}, {"file": "b\nc.png", "label": "x"})


def test_rows_with_too_few_or_many_cells_are_marked():
    assert parse_table(b"a,b\n1\n1,2,3\n1,2\n", "t.csv").rows == (None, None, {"a": "1", "b": "2"})


def test_over_long_cell_is_read():
    assert len(parse_table(b"a\n" + b"x" * 500_000, "t.csv").rows[0]["a"]) == 500_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n\xff\xfe,1\n", r"not UTF-8 \(line 2\)"),
        (b"a,a\n1,2\n", "the column 'a' twice"),
        (b'a,b\n"open,1\n2,3\n', r"not CSV \(line 3"),
    ],
)
def test_unreadable_table_is_a_user_error(content, message):
    with pytest.raises(UserError, match=message):
        parse_table(content, "t.csv")


def test_template_is_filled_from_cells():
    cells = {"category_id": " 3 ", "task_id": "1", "weird.name[0]": "x"}
    assert fill_template("images/q_{category_id}_{task_id}_6.png", cells) == "images/q_3_1_6.png"
    assert fill_template("{weird.name[0]}{{}}", cells) == "x{}"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            Columns(file="{path}"),
            r"no column 'path', which columns.file '\{path\}' names. Its columns are file, label",
        ),
        (Columns(file="{file}", label="class"), "no column 'class', which columns.label names"),
        (Columns(file="{file}", question="q"), "no column 'q', which columns.question names"),
        (Columns(file="{file}", caption="c"), "no column 'c', which columns.caption names"),
        (Columns(file="file"), "names no column"),
        (Columns(file="{file"), "is not a template"),
        (Columns(file="{file:>10}"), "has a format"),
        (Columns(file="{file!r}"), "has a format"),
        (Columns(file="{}"), "no column ''"),
        (Columns(file="{file.__class__}"), "no column 'file.__class__'"),
    ],
)
def test_wrong_mapping_is_a_user_error_that_names_the_columns(columns, message):
    with pytest.raises(UserError, match=message):
        check_columns(columns, ("file", "label"), "t.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_user_error(content):
    try:
        table = parse_table(content, "t.csv")
    except UserError:
        return
    assert all(row is None or set(row) == set(table.columns) for row in table.rows)
