import dataclasses
import hashlib
import io
import json

import pytest
import yaml
from tests.made_rows import image, png, preference, question
from tests.stage_context import FakeContext, former_record, run_stage

from spavl.artifacts.store import open_store
from spavl.config.root import Config
from spavl.errors import UserError
from spavl.stages.dataset import stage
from spavl.stages.dataset.part_files import ROWS_PER_GROUP
from spavl.stages.dataset.published import PREFIXES
from spavl.stages.dataset.rows import SPLITS, ImageSplit

TEXT = "only the data files may hold this text"


def config(judge="demo_rules", **section):
    spec = {"kind": judge, "name": "the-judge"}
    models = [{"kind": "fake", "name": name} for name in ("bold", "timid")]
    values = {
        "responses": {"models": models},
        "judgements": {"judge": spec},
        "comparisons": {"judge": spec},
        "dataset": section,
    }
    return Config.model_validate({"profile": "test", **values})


def context(tmp_path, num_images=40, pairs_per_image=2, **section):
    """Half of the images benign; every image has two questions and `pairs_per_image` pairs."""
    store = open_store(f"file://{tmp_path / 'store'}")
    images, questions, preferences = [], [], []
    for number in range(num_images):
        id, is_benign = store.put_blob(png(number)), number % 2 == 0
        kind = (
            "benign_control"
            if is_benign
            else ("easy_question", "hard_question", "hard_statement")[number % 3]
        )
        images.append(
            image(
                id,
                is_benign=is_benign,
                perceptual_hash=f"{number:02x}" * 8,
                source="made",
                num_bytes=len(png(number)),
            )
        )
        questions += [
            question(f"q{number}-{n}", id, kind=kind, text=f"{TEXT} {number} {n}") for n in range(2)
        ]
        preferences += [
            preference(
                f"p{number}-{n}",
                id,
                f"q{number}-0",
                kind=kind,
                question=f"{TEXT} {number} 0",
                chosen=f"{TEXT} good {number}",
            )
            for n in range(pairs_per_image)
        ]
    rows = {"images": images, "questions": questions, "preferences": preferences}
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return FakeContext(config(**section), store, "dataset", rows, scratch=scratch)


def load(folder):
    import datasets

    files = {split: f"{folder}/{prefix}-*.parquet" for split, prefix in PREFIXES.items()}
    pairs = {split: files[split] for split in ("train", "validation")}
    prompts = {split: files[split] for split in ("test_harm", "test_help")}
    cache = str(folder.parent / "cache")
    return {
        **datasets.load_dataset("parquet", data_files=pairs, cache_dir=cache),
        **datasets.load_dataset("parquet", data_files=prompts, cache_dir=cache),
    }


def test_rows_images_and_counts_of_a_version(tmp_path):
    ctx = context(tmp_path)
    sealed = run_stage(stage, ctx)
    # 40 images: 0.2 and 0.07 of them are 8 test and 3 validation images; 2 pairs or 2 questions each
    assert {name: sealed.counts[f"images_{name}"] for name in ("train", "validation", "test")} == {
        "train": 29,
        "validation": 3,
        "test": 8,
    }
    assert (sealed.counts["train"], sealed.counts["validation"]) == (58, 6)
    assert sealed.counts["test_harm"] + sealed.counts["test_help"] == 16
    assert sealed.counts["preferences_of_test_images"] == 16
    assert sealed.counts["pairs"] == 64
    places = {row.id: row.split for row in sealed.side_tables["image_splits"]}
    for row in sealed.rows:
        assert row.split.startswith(places[row.image_id])
        assert row.is_benign == (row.split == "test_help") or not row.split.startswith("test")
        assert (row.chosen is None) == row.split.startswith("test")
    assert sealed.details["channel_entry"]["version"] == sealed.details["version"]


def test_load_dataset_gives_pil_images_of_the_bytes_ingested(tmp_path):
    import datasets
    from PIL import Image as Pillow

    ctx = context(tmp_path)
    sealed = run_stage(stage, ctx)
    loaded = load(sealed.folders["version"])
    assert {split: len(loaded[split]) for split in SPLITS} == {
        split: sealed.counts[split] for split in SPLITS
    }
    for split in SPLITS:
        expected = [row for row in sealed.rows if row.split == split]
        raw = loaded[split].cast_column("image", datasets.Image(decode=False))
        for row, seen, undecoded in zip(expected, loaded[split], raw, strict=True):
            assert isinstance(seen["image"], Pillow.Image)
            assert undecoded["image"]["bytes"] == ctx.store.get_blob(row.image_id)
            assert (
                seen["image"].tobytes() == Pillow.open(io.BytesIO(ctx.store.get_blob(row.image_id))).tobytes()
            )
            assert seen["image_name"] == f"{row.image_id}.png"
            assert (seen["question"], seen["class3"], seen["id"]) == (row.question, row.class3, row.id)
            assert seen.get("chosen") == row.chosen


def test_the_columns_begin_as_spa_vl_publishes_them(tmp_path):
    loaded = load(run_stage(stage, context(tmp_path)).folders["version"])
    published = [
        "image",
        "question",
        "chosen",
        "rejected",
        "image_name",
        "class1",
        "class2",
        "class3",
        "question_type",
    ]
    assert loaded["train"].column_names[:9] == published
    assert loaded["test_harm"].column_names[:7] == [
        "image",
        "question",
        "image_name",
        "class1",
        "class2",
        "class3",
        "question_type",
    ]
    assert not {"chosen", "rejected", "margin"} & set(loaded["test_help"].column_names)
    assert set(loaded["train"]["question_type"]) <= {"easy", "hardq", "hards", "benign"}


def test_the_folder_opens_by_its_card(tmp_path):
    import datasets

    sealed = run_stage(stage, context(tmp_path))
    folder = str(sealed.folders["version"])
    pairs = datasets.load_dataset(folder, cache_dir=str(tmp_path / "cache"))
    prompts = datasets.load_dataset(folder, "test", cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in pairs.items()} == {
        "train": sealed.counts["train"],
        "validation": sealed.counts["validation"],
    }
    assert {split: len(rows) for split, rows in prompts.items()} == {
        "harm": sealed.counts["test_harm"],
        "help": sealed.counts["test_help"],
    }


def test_the_card_has_counts_and_provenance_and_no_texts(tmp_path):
    sealed = run_stage(stage, context(tmp_path))
    text = (sealed.folders["version"] / "README.md").read_text("utf-8")
    assert TEXT not in text
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc0-1.0"
    assert [entry["config_name"] for entry in front["configs"]] == ["default", "test"]
    assert f"| train | {sealed.counts['train']} | {sealed.counts['images_train']} |" in text
    for word in (sealed.details["version"], "the-judge-rev", "bold-rev", "expectations/dataset"):
        assert word in text
    assert "The judge of pairs is the demo world's rules, not a model" in text
    of_class = {
        split: sum(r.split == split and r.class3 == "insult" for r in sealed.rows) for split in SPLITS
    }
    expected = " | ".join(str(of_class[split]) for split in SPLITS)
    assert f"| representation_toxicity_harms | toxic | insult | {expected} |\n" in text


def test_the_manifest_names_every_file_and_the_version_follows_from_the_content(tmp_path):
    sealed = run_stage(stage, context(tmp_path))
    folder = sealed.folders["version"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {*(part.id for part in sealed.side_tables["version_parts"]), "README.md"}
    assert len(manifest["files"]) == 5
    for relative, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / relative).read_bytes()).hexdigest()
    again = run_stage(stage, context(tmp_path / "again"))
    other = run_stage(stage, context(tmp_path / "other", seed=1))
    assert (
        manifest["version"]
        == sealed.details["version"]
        == again.details["version"]
        != other.details["version"]
    )


def test_parquet_is_written_in_row_groups_and_each_image_is_read_once_per_run_of_rows(tmp_path):
    import pyarrow.parquet as pq

    ctx = context(tmp_path, pairs_per_image=5)
    reads, get_blobs = [], ctx.store.get_blobs
    ctx.store.get_blobs = lambda digests: reads.extend(digests) or get_blobs(digests)
    sealed = run_stage(stage, ctx)
    file = pq.ParquetFile(next((sealed.folders["version"] / "data").glob("train-*")))
    groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert groups == [ROWS_PER_GROUP, 145 - ROWS_PER_GROUP]
    assert len(reads) == 40


def published(store, sealed, run_id):
    """The version's folder as the runner uploads it: path and files, copied ones too."""
    path = f"runs/{run_id}/dataset/version"
    files = store.upload(sealed.folders["version"], path)
    for relative, file in sealed.copied["version"].items():
        store.copy(file.source, f"{path}/{relative}")
        files[relative] = {"sha256": file.sha256, "num_bytes": file.num_bytes}
    return {"path": path, "files": files}


def sealed_record(ctx, sealed, run_id="before"):
    """The record that the runner would have written, so that a next night can inherit."""
    rows = {name: of for name, of in {"table": sealed.rows, **sealed.side_tables}.items() if of}
    record = former_record(ctx.store, "dataset", rows, run_id)
    return dataclasses.replace(record, folders={"version": published(ctx.store, sealed, run_id)})


def test_the_next_version_inherits_the_splits_of_the_previous_one(tmp_path):
    first_context = context(tmp_path, num_images=40)
    first = run_stage(stage, first_context)
    second_context = context(tmp_path, num_images=60, seed=7)
    second_context.previous_by_stage = {"dataset": sealed_record(first_context, first)}
    second = run_stage(stage, second_context)
    before = {row.id: row.split for row in first.side_tables["image_splits"]}
    after = {row.id: row for row in second.side_tables["image_splits"]}
    assert len(after) == 60
    assert all(after[id].split == split for id, split in before.items())
    assert all(isinstance(row, ImageSplit) for row in after.values())


def test_a_version_needs_preferences(tmp_path):
    ctx = context(tmp_path)
    ctx.rows_by_stage["preferences"] = []
    with pytest.raises(UserError, match="0 preferences"):
        run_stage(stage, ctx)


def test_an_empty_split_is_refused_with_what_was_seen(tmp_path):
    ctx = context(tmp_path)
    ctx.rows_by_stage["questions"] = [row for row in ctx.rows("questions") if row.kind != "benign_control"]
    with pytest.raises(
        UserError, match=r"split 'test_help' would be empty.*largest near-duplicate group has 1 of 40"
    ):
        run_stage(stage, ctx)


def test_a_preference_about_an_unknown_image_is_refused(tmp_path):
    ctx = context(tmp_path)
    ctx.rows_by_stage["preferences"].append(preference("lost", "f" * 64, "q0-0"))
    with pytest.raises(
        UserError, match=r"1 rows of `preferences` name in `image_id` what `images` .*first: row lost"
    ):
        run_stage(stage, ctx)


def test_a_question_about_an_unknown_image_is_refused(tmp_path):
    ctx = context(tmp_path)
    ctx.rows_by_stage["questions"].append(question("lost", "f" * 64))
    with pytest.raises(UserError, match=r"1 rows of `questions` name in `image_id` .*first: row lost"):
        run_stage(stage, ctx)


def test_an_image_whose_bytes_are_gone_is_named(tmp_path):
    ctx = context(tmp_path)
    digest = next(row.image_id for row in run_stage(stage, ctx).rows if row.split == "train")
    ctx.store.remove(f"blobs/{digest[:2]}/{digest}")
    with pytest.raises(UserError, match=f"blob {digest} is not in the store"):
        run_stage(stage, ctx)


def drawn_context(tmp_path, **section):
    """Drawings in place of the plain colours, and their thumbnails in the record of `images`."""
    from PIL import Image as Pillow

    from spavl.audit.thumbnails import thumbnails
    from spavl.demo.concepts import all_concepts
    from spavl.demo.drawing import draw
    from spavl.stages.images.rows import Thumbnail

    ctx = context(tmp_path, **section)
    images = ctx.rows("images")
    drawings = [draw(all_concepts()[number], number) for number in range(len(images))]
    drawings[1] = drawings[0].transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    rows = [Thumbnail(one.id, thumbnails(drawn)) for one, drawn in zip(images, drawings, strict=True)]
    ctx.records_by_stage = {
        "images": former_record(ctx.store, "images", {"table": images, "thumbnails": rows})
    }
    return ctx, images


def test_a_flipped_copy_is_in_the_group_of_its_original(tmp_path):
    ctx, images = drawn_context(tmp_path)
    groups = {row.id: row.duplicate_group for row in run_stage(stage, ctx).side_tables["image_splits"]}
    assert groups[images[0].id] == groups[images[1].id] == min(images[0].id, images[1].id)
    assert len(set(groups.values())) == len(images) - 1


def test_changed_copies_are_looked_for_only_if_the_profile_says_so(tmp_path):
    ctx, images = drawn_context(tmp_path, find_changed_copies=False)
    groups = {row.duplicate_group for row in run_stage(stage, ctx).side_tables["image_splits"]}
    assert len(groups) == len(images)


def test_a_flipped_copy_of_an_image_that_is_away_goes_where_that_was(tmp_path):
    ctx, images = drawn_context(tmp_path)
    ctx.rows_by_stage["images"] = [one for one in images if one is not images[1]]
    for name in ("questions", "preferences"):
        ctx.rows_by_stage[name] = [row for row in ctx.rows(name) if row.image_id != images[1].id]
    first = run_stage(stage, ctx)
    record, former_images = sealed_record(ctx, first), ctx.records_by_stage["images"]
    again, _ = drawn_context(tmp_path)
    again.rows_by_stage["images"] = [one for one in images if one is not images[0]]
    for name in ("questions", "preferences"):
        again.rows_by_stage[name] = [row for row in again.rows(name) if row.image_id != images[0].id]
    again.previous_by_stage = {"dataset": record, "images": former_images}
    second = run_stage(stage, again)
    before = {row.id: row.split for row in first.side_tables["image_splits"]}
    after = {row.id: row for row in second.side_tables["image_splits"]}
    assert after[images[1].id].split == before[images[0].id] == after[images[0].id].split
    assert not after[images[0].id].is_present
    assert [row.id for row in second.side_tables["thumbnails"]] == [images[0].id]


def test_the_card_says_which_share_of_the_test_stands_in_train(tmp_path):
    ctx = context(tmp_path)
    texts = {f"q{number}-0": "the same question for all" for number in range(40)}
    ctx.rows_by_stage["questions"] = [
        question(row.id, row.image_id, kind=row.kind, text=texts.get(row.id, f"{row.id} of its own"))
        for row in ctx.rows("questions")
    ]
    ctx.rows_by_stage["preferences"] = [
        preference(row.id, row.image_id, row.question_id, kind=row.kind, question=texts[row.question_id])
        for row in ctx.rows("preferences")
    ]
    sealed = run_stage(stage, ctx)
    assert sealed.measures["test_harm_verbatim_in_train_share"] == 0.5  # every second prompt has that text
    text = (sealed.folders["version"] / "README.md").read_text("utf-8")
    assert "| harm | 50.0% | 50.0% |" in text and "words are not" in text


def test_words_of_the_test_are_taken_out_of_train_if_the_profile_says_so(tmp_path):
    ctx = context(tmp_path)
    splits = {row.id: row.split for row in run_stage(stage, ctx).side_tables["image_splits"]}
    taken = next(id for id, split in splits.items() if split == "train")
    tested = next(id for id, split in splits.items() if split == "test")
    text = {taken: "asked in both", tested: "Asked in both!"}

    def own(row, about):
        return text.get(row.image_id, hashlib.sha256(about.encode()).hexdigest())

    ctx.rows_by_stage["questions"] = [
        question(row.id, row.image_id, kind=row.kind, text=own(row, row.id)) for row in ctx.rows("questions")
    ]
    ctx.rows_by_stage["preferences"] = [
        preference(row.id, row.image_id, row.question_id, kind=row.kind, question=own(row, row.question_id))
        for row in ctx.rows("preferences")
    ]
    ctx.config = config(hold_out_words=True)
    sealed = run_stage(stage, ctx)
    assert taken not in {row.image_id for row in sealed.rows}
    assert sealed.counts["pairs_held_out_as_words"] >= 2
    assert sealed.measures["test_harm_verbatim_in_train_share"] == 0
    assert sealed.measures["test_help_paraphrase_in_train_share"] == 0
    assert "and words too" in (sealed.folders["version"] / "README.md").read_text("utf-8")


def test_a_domain_whose_pairs_were_dropped_is_missing_against_the_former_version(tmp_path):
    ctx = context(tmp_path)
    former = sealed_record(ctx, run_stage(stage, ctx))
    harm = [row for row in ctx.rows("preferences") if row.class1 != "benign"]
    ctx.rows_by_stage["preferences"] = [
        row if row.class1 == "benign" else preference(row.id, row.image_id, row.question_id, class1="another")
        for row in ctx.rows("preferences")
    ]
    ctx.previous_by_stage = {"dataset": former}
    measures = run_stage(stage, ctx).measures
    assert harm and measures["num_missing_classes"] == 1
    assert measures["num_missing_kinds"] == 2  # all pairs are easy questions now
    ctx.config = config(may_miss=("representation_toxicity_harms", "hard_question", "hard_statement"))
    assert run_stage(stage, ctx).measures["num_missing_classes"] == 0
