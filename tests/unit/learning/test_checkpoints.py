import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spavl.artifacts.store import open_store
from spavl.errors import UserError
from spavl.learning.checkpoints import Checkpoints, Place

FOLDER = "runs/r/training/checkpoints"
TERMS = {"recipe": "a", "ZeRO stage": 2}


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path / 'store'}")


def local_checkpoint(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(content)
    return folder


def test_the_newest_checkpoint_comes_back(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    for step in (5, 10):
        checkpoints.save(local_checkpoint(tmp_path / str(step), f"weights {step}"), step)
    found = checkpoints.fetch_newest(tmp_path / "found")
    assert (found / "model.safetensors").read_text() == "weights 10"


def test_two_checkpoints_are_kept(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    for step in (5, 10, 15):
        checkpoints.save(local_checkpoint(tmp_path / str(step), "w"), step)
    assert store.names(FOLDER) == ["step-000010", "step-000015"]


def test_a_half_written_checkpoint_is_ignored(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    checkpoints.save(local_checkpoint(tmp_path / "5", "weights 5"), 5)
    store.write(f"{FOLDER}/step-000010/rank-00000/model.safetensors", b"half")
    found = checkpoints.fetch_newest(tmp_path / "found")
    assert (found / "model.safetensors").read_text() == "weights 5"


@pytest.mark.parametrize("content", [b"", b'{"step": 10, "ter', b"[]", b"{}"])
def test_a_checkpoint_whose_manifest_is_cut_off_is_ignored(store, tmp_path, content):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    checkpoints.save(local_checkpoint(tmp_path / "5", "weights 5"), 5)
    checkpoints.save(local_checkpoint(tmp_path / "10", "weights 10"), 10)
    store.write(f"{FOLDER}/step-000010/checkpoint.json", content)
    found = checkpoints.fetch_newest(tmp_path / "found")
    assert (found / "model.safetensors").read_text() == "weights 5"


def test_a_file_that_a_whole_checkpoint_has_lost_is_named(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    checkpoints.save(local_checkpoint(tmp_path / "5", "weights 5"), 5)
    store.remove(f"{FOLDER}/step-000005/rank-00000/model.safetensors")
    with pytest.raises(UserError, match=r"step-000005/rank-00000/model\.safetensors is gone from the store"):
        checkpoints.fetch_newest(tmp_path / "found")


def test_a_folder_of_another_name_among_checkpoints_is_none(store, tmp_path):
    store.write(f"{FOLDER}/step-old/notes.txt", b"kept by hand")
    assert Checkpoints(store, FOLDER, TERMS).fetch_newest(tmp_path / "found") is None


@pytest.mark.parametrize(
    ("terms", "place", "words"),
    [
        ({"recipe": "b", "ZeRO stage": 2}, (0, 1), "recipe a, and this process has b"),
        ({"recipe": "a", "ZeRO stage": 3}, (0, 1), "ZeRO stage 2, and this process has 3"),
        (TERMS, (1, 2), "number of ranks 1, and this process has 2"),
    ],
)
def test_a_checkpoint_made_on_other_terms_is_refused_with_both_values(store, tmp_path, terms, place, words):
    Checkpoints(store, FOLDER, TERMS).save(local_checkpoint(tmp_path / "5", "w"), 5)
    other = Checkpoints(store, FOLDER, terms, Place(*place, lambda thing: [thing]))
    with pytest.raises(UserError, match=f"the checkpoint of step 5 was made with {words}") as refused:
        other.fetch_newest(tmp_path / "found")
    assert f"remove {store.url_of(FOLDER)} to begin from step 0" in refused.value.next_step


def test_saving_again_leaves_nothing_of_the_former_attempt(store, tmp_path):
    store.write(f"{FOLDER}/step-000005/rank-00000/stray.bin", b"half")
    Checkpoints(store, FOLDER, TERMS).save(local_checkpoint(tmp_path / "5", "w"), 5)
    assert store.names(f"{FOLDER}/step-000005/rank-00000") == ["model.safetensors"]


def test_all_checkpoints_can_be_removed(store, tmp_path):
    checkpoints = Checkpoints(store, FOLDER, TERMS)
    checkpoints.save(local_checkpoint(tmp_path / "5", "w"), 5)
    checkpoints.remove_all()
    assert store.names(FOLDER) == []


def test_every_rank_saves_its_own_files_and_gets_them_back_with_those_of_all(store, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda mine: mine.save(files_of_rank(tmp_path, mine), 5), two_ranks(store)))
    found = {}
    for mine in two_ranks(store):
        folder = mine.fetch_newest(tmp_path / f"found {rank_of(mine)}")
        found[rank_of(mine)] = {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*")
            if path.is_file()
        }
    common = {"trainer_state.json": "state"}
    assert found == {
        0: common | {"rng_state_0.pth": "rng 0", "s/zero_pp_rank_0_optim.pt": "moments 0"},
        1: common | {"rng_state_1.pth": "rng 1", "s/zero_pp_rank_1_optim.pt": "moments 1"},
    }


def test_a_checkpoint_does_not_exist_before_every_rank_has_saved_its_part(store, tmp_path):
    first, second = two_ranks(store)
    with ThreadPoolExecutor(2) as pool:
        saving = pool.submit(first.save, files_of_rank(tmp_path, first), 5)
        second._place.gather(None)  # as far as rank 1 comes before it is killed
        while not store.exists(f"{FOLDER}/step-000005/rank-00000/trainer_state.json"):
            assert not saving.done()
        assert first.fetch_newest(tmp_path / "found") is None
        second._place.gather({})
        saving.result(10)
    assert first.fetch_newest(tmp_path / "found") is not None


def two_ranks(store) -> list[Checkpoints]:
    """Both ranks of one training, to be used in threads: what torch's process group does, by a barrier."""
    barrier, things = threading.Barrier(2), [None, None]

    def gather_for(rank):
        def gather(thing):
            things[rank] = thing
            barrier.wait(10)
            found = list(things)
            barrier.wait(10)
            return found

        return gather

    return [Checkpoints(store, FOLDER, TERMS, Place(rank, 2, gather_for(rank))) for rank in (0, 1)]


def rank_of(checkpoints: Checkpoints) -> int:
    return checkpoints._place.rank


def files_of_rank(tmp_path: Path, checkpoints: Checkpoints) -> Path:
    """What the trainer and DeepSpeed leave on each rank's own disk."""
    rank = rank_of(checkpoints)
    folder = tmp_path / f"local {rank}"
    (folder / "s").mkdir(parents=True)
    (folder / f"rng_state_{rank}.pth").write_text(f"rng {rank}")
    (folder / "s" / f"zero_pp_rank_{rank}_optim.pt").write_text(f"moments {rank}")
    if rank == 0:
        (folder / "trainer_state.json").write_text("state")
    return folder
