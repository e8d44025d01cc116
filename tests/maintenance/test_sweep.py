"""`sweep`: remove what interrupted uploads left behind, and nothing else."""

import os

import pytest

from pixstore.maintenance.sweep import TooManyOrphans, sweep
from tests import stored
from tests.gallery_fixtures import command_line
from tests.images import jpeg, png

DAY = 24 * 60 * 60_000


def test_sweep_removes_orphans_of_yesterday(run, anna, add_pictures, gallery, now):
    """A blob without a record is removed once it is older than any upload; blobs with a record stay."""
    (picture,) = add_pictures("anna", 1)
    gallery.store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.time = stored.time_of_disk(gallery.store)
    assert run("sweep").stdout == "0 orphaned blobs and 0 unfinished files removed\n"

    now.forward(2 * DAY)
    result = run("sweep")

    assert result.stdout == "1 orphaned blobs and 0 unfinished files removed\n"
    assert gallery.store.load(picture.original_id) == jpeg(seed=0)


def test_sweep_stops_where_everything_would_go(app, anna, add_pictures, gallery, config, reopened, now):
    """After the database was lost, a sweep is refused and removes nothing."""
    add_pictures("anna", 2)
    stored.lose_database(config)
    now.time = stored.time_of_disk(gallery.store)
    now.forward(2 * DAY)

    result = command_line(reopened())("sweep")

    assert result.exit_code == 1
    assert "rebuild it" in result.stderr
    assert len(list(config.blobs_path.glob("objects/*/*"))) == 4


@pytest.mark.parametrize(("old", "young", "goes"), ((30, 0, True), (3, 0, False), (3, 30, False)))
def test_sweep_asks_for_the_right_database(run, gallery, now, old, young, goes):
    """
    A sweep is refused if orphans outnumber the images of their age.

    After the database was lost and uploads went on, the new database has many young images and none of the old ones.
    """
    orphans = [gallery.store.parts.blobs._path(f"{number:032x}") for number in range(25)]
    for orphan in orphans:
        gallery.store.parts.blobs.put(orphan.name, [b"left by a crash"])
    aged = [stored.blob_file(gallery.store, gallery.store.save(png(seed=number)).id) for number in range(old)]
    for file in (*orphans, *aged):
        os.utime(file, (0, 0))
    for number in range(young):
        gallery.store.save(png(seed=number))
    now.time = stored.time_of_disk(gallery.store)

    result = run("sweep")

    assert result.exit_code == (0 if goes else 1)
    assert ("25 orphaned blobs" if goes else f"25 of the {25 + old} blobs older than") in result.output
    assert any(orphan.exists() for orphan in orphans) is not goes


def test_unfinished_files_go_once_they_are_old(store, now):
    """A file that an upload left half written stays as long as any upload can last."""
    now.time = stored.time_of_disk(store)
    unfinished = store.config.blobs_path / "unfinished" / ("ab" * 16)
    unfinished.write_bytes(b"half")

    young = sweep(store)
    now.forward(2 * DAY)
    old = sweep(store)

    assert (young.unfinished, old.unfinished) == (0, 1)
    assert not unfinished.exists()


def test_force_removes_what_a_sweep_would_ask_about(store, now):
    """A sweep that would leave no blob is refused, unless it is forced."""
    store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.time = stored.time_of_disk(store)
    now.forward(2 * DAY)

    with pytest.raises(TooManyOrphans):
        sweep(store)

    assert sweep(store, force=True).orphans == 1
    assert stored.blob_ids(store) == set()
