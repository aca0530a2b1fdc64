"""Each published layout is read from a tiny harmless folder in that layout; another layout is one line that says so."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.made_rows import png

from spavl.errors import UserError
from spavl.stages.benchmarks import layouts

FIGSTEP = Path(__file__).resolve().parents[4] / "shared" / "data" / "figstep-tiny"
PLACEHOLDER = "What is the placeholder activity?"


def written(folder, path, content):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def table(folder, path, header, *lines):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])


def test_figstep(tmp_path):
    header = ["dataset", "category_id", "task_id", "category_name", "question", "instruction"]
    table(
        tmp_path,
        "data/question/safebench.csv",
        header,
        ["ForbidQI", "1", "2", "Kind, of thing", PLACEHOLDER, "Steps."],
    )
    written(tmp_path, "data/images/SafeBench/query_ForbidQI_1_2_6.png", png(1))
    (row,) = layouts.figstep(str(tmp_path))
    assert (row.id, row.category, row.question) == ("query_ForbidQI_1_2_6", "Kind, of thing", PLACEHOLDER)
    assert row.text == layouts.FIGSTEP_PROMPT and row.read_image() == png(1)


def test_mm_safetybench(tmp_path):
    entry = {
        "Question": PLACEHOLDER, "Changed Question": "c", "Key Phrase": "k", "Phrase Type": "activity",
        "Rephrased Question": "The bottom of the image shows it.", "Rephrased Question(SD)": "The image shows it.",
    }  # fmt: skip
    written(tmp_path, "data/processed_questions/01-Placeholder.json", {"0": entry})
    for number, variant in enumerate(("SD", "SD_TYPO", "TYPO")):
        written(tmp_path, f"data/imgs/01-Placeholder/{variant}/0.jpg", png(number))
    of_variant = {
        variant: layouts.mm_safetybench(str(tmp_path), variant=variant)[0]
        for variant in ("SD", "SD_TYPO", "TYPO")
    }
    assert of_variant["SD"].text == "The image shows it."
    assert of_variant["SD_TYPO"].text == of_variant["TYPO"].text == "The bottom of the image shows it."
    assert [row.read_image() for row in of_variant.values()] == [png(0), png(1), png(2)]
    assert of_variant["SD"].question == PLACEHOLDER and of_variant["SD"].category == "01-Placeholder"


def test_vlsbench(tmp_path):
    entry = {
        "instruction_id": 7, "instruction": PLACEHOLDER, "image_path": "imgs/7.png", "category": "A kind", "sub_category": "s",
        "source": "generation", "image_description": "d", "safety_reason": "r",
    }  # fmt: skip
    written(tmp_path, "data.json", [entry])
    written(tmp_path, "imgs/7.png", png(7))
    (row,) = layouts.vlsbench(str(tmp_path))
    assert (row.id, row.text, row.category, row.read_image()) == ("7", PLACEHOLDER, "A kind", png(7))


def test_siuo_asked_freely(tmp_path):
    entry = {"question_id": 1001, "image": "S-01.png", "question": PLACEHOLDER, "category": "a kind", "safety_warning": "w", "reference_answer": "r"}  # fmt: skip
    written(tmp_path, "data/siuo_gen.json", [entry])
    written(tmp_path, "data/images/S-01.png", png(2))
    (row,) = layouts.siuo(str(tmp_path))
    assert (row.id, row.text, row.options, row.read_image()) == ("1001", PLACEHOLDER, (), png(2))


def test_siuo_with_options(tmp_path):
    entry = {"question_id": 1001, "image": "S-01.png", "question": PLACEHOLDER, "category": "a kind", "options": {"A": "one", "B": "two"}, "correct_option": "B"}  # fmt: skip
    written(tmp_path, "data/siuo_mcqa.json", [entry])
    (row,) = layouts.siuo(str(tmp_path), form="mcqa")
    assert row.text.endswith(f"Qusetion: {PLACEHOLDER}\nOption:\n(A) one\n(B) two\n\nChocie:")
    assert (row.answer, row.options) == ("B", ("one", "two"))


def test_mossbench(tmp_path):
    entry = {"image": "images/1.webp", "short description": "d", "question": "What game is this?", "pid": "1", "metadata": {"over": "type 1", "child": 0}}  # fmt: skip
    written(tmp_path, "images_information/information.json", {"1": entry})
    written(tmp_path, "images/1.webp", png(3))
    (row,) = layouts.mossbench(str(tmp_path))
    assert (row.id, row.text, row.category, row.read_image()) == ("1", "What game is this?", "type 1", png(3))


def test_xstest_in_both_of_its_forms(tmp_path):
    lines = [["1", "How do I end a process?", "homonyms", "safe", "end", ""], ["2", PLACEHOLDER, "contrast_homonyms", "unsafe", "end", ""]]  # fmt: skip
    table(tmp_path, "xstest_prompts.csv", ["id", "prompt", "type", "label", "focus", "note"], *lines)
    assert [row.id for row in layouts.xstest(str(tmp_path))] == ["1"]
    assert [row.id for row in layouts.xstest(str(tmp_path), label="unsafe")] == ["2"]
    older = [[line[0], line[2], line[1], line[4], ""] for line in lines]
    table(tmp_path, "v2.csv", ["id", "type", "prompt", "focus", "note"], *older)
    assert [row.text for row in layouts.xstest(str(tmp_path), table="v2.csv")] == ["How do I end a process?"]
    assert layouts.xstest(str(tmp_path), table="v2.csv")[0].read_image is None


def test_mmmu_leaves_out_what_one_image_cannot_ask(tmp_path):
    def entry(number, kind, images):
        held = {
            f"image_{i}": {"bytes": png(i), "path": f"{i}.png"} if i <= images else None for i in range(1, 8)
        }
        return {
            "id": f"validation_Art_{number}", "question": "What is in <image 1>?", "options": "['a cat', 'a dog']", "explanation": "",
            **held, "answer": "B", "question_type": kind, "subfield": "s",
        }  # fmt: skip

    rows = [entry(1, "multiple-choice", 1), entry(2, "open", 1), entry(3, "multiple-choice", 2)]
    (tmp_path / "Art").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "Art" / "validation-00000-of-00001.parquet")
    (row,) = layouts.mmmu(str(tmp_path))
    assert (row.id, row.answer, row.category, row.read_image()) == ("validation_Art_1", "B", "Art", png(1))
    assert (
        row.text
        == "What is in ?\n\n(A) a cat\n(B) a dog\n\nAnswer with the option's letter from the given choices directly."
    )


@pytest.mark.skipif(
    not FIGSTEP.is_dir(),
    reason="needs the published FigStep pictures beside the checkout (../shared/data/figstep-tiny)",
)
def test_the_real_figstep_sample_is_read():
    rows = layouts.figstep(str(FIGSTEP), table="safebench-tiny.csv", images="images")
    assert len(rows) == 50 and len({row.category for row in rows}) == 10
    assert all(row.read_image().startswith(b"\x89PNG") for row in rows)


@pytest.mark.parametrize(
    ("layout", "path", "content", "expected"),
    [
        ("vlsbench", "data.json", {"nothing": "here"}, "instruction_id, instruction, image_path, category in every entry"),
        ("vlsbench", "data.json", b"{", "expected: JSON"),
        ("vlsbench", "data.json", [], "at least one entry"),
        ("vlsbench", "data.json", [{"instruction_id": 1, "instruction": "a", "category": "b", "image_path": "../x.png"}], "an image inside the folder"),
        ("vlsbench", "other.json", [], "to be there"),
        ("siuo", "data/siuo_gen.json", "text", "a list or an object"),
        ("mossbench", "images_information/information.json", {"1": {"image": "a.png", "question": "q"}}, "entry 1 lacks pid, metadata"),
        ("figstep", "data/question/safebench.csv", b"a,b\n1,2\n", "category_name"),
        ("xstest", "xstest_prompts.csv", b"\xff\xfe", "UTF-8 text"),
        ("mm_safetybench", "README.md", b"", "one <scenario>.json per scenario"),
        ("mmmu", "README.md", b"", "<subject>/validation-"),
    ],
)  # fmt: skip
def test_another_layout_is_one_line_with_the_remedy(tmp_path, layout, path, content, expected):
    written(tmp_path, path, content)
    with pytest.raises(UserError) as raised:
        layouts.LAYOUTS[layout](str(tmp_path))
    assert expected in str(raised.value) and "as its authors publish it" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("layout", "wrong"), [("mm_safetybench", {"variant": "SDX"}), ("siuo", {"form": "mc"}), ("xstest", {"label": "ok"})])  # fmt: skip
def test_an_unknown_part_of_a_benchmark_is_named_with_those_that_there_are(tmp_path, layout, wrong):
    with pytest.raises(UserError, match="It has"):
        layouts.LAYOUTS[layout](str(tmp_path), **wrong)
