"""`sweep`: remove what interrupted uploads left behind, and nothing else."""

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import TooManyOrphans, sweep
from pixstore.store import ImageStore
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
    orphans = [Path(gallery.store.parts.blobs._path(f"{number:032x}")) for number in range(25)]
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


def test_a_blob_from_the_future_waits_from_now_on(store, now):
    """
    An orphan that is dated far ahead is not removed at once, nor only when that time comes.

    Either clock may have been the wrong one, so it may belong to an upload that is going on.
    """
    store.save(png())
    store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.time = stored.time_of_disk(store)
    far = now.time / 1000 + 300 * 24 * 3600
    os.utime(stored.file_of_blob(store, "ab" * 16), (far, far))

    assert sweep(store).orphans == 0
    now.forward(DAY // 2)
    assert sweep(store).orphans == 0
    now.forward(DAY)
    assert sweep(store).orphans == 1


def test_an_orphan_that_can_mend_an_image_stays(store, now, monkeypatch):
    """An earlier version that a crash left stays while the current one is damaged: `check --repair` brings it back."""
    monkeypatch.setattr(store.parts.reaper, "wake", lambda: None)
    image_id = store.save(png()).id
    earlier = stored.blob_file(store, image_id).name
    store.update(image_id, jpeg())
    with store.connected():
        store.parts.models.dead_blob.delete().execute()  # as if the note on the earlier blob were lost
    stored.flip_last_bit(stored.blob_file(store, image_id))
    _grow_old(store, now)

    assert sweep(store) == (0, 0, [earlier])
    check(store, deep=True, repair=True)
    assert [finding.kind for finding in check(store, deep=True).findings] == ["orphan"]  # the damaged blob
    assert store.load(image_id) == png()


def test_an_orphan_of_an_image_without_record_stays_until_it_is_known_to_be_deleted(store, now):
    """A blob whose row is damaged beyond reading is kept as long as it holds the only version of its image."""
    kept, other = store.save(png()).id, store.save(jpeg()).id
    blob = stored.row(store, kept).blob_id
    stored.change_row(store, kept, blob_id="cd" * 16)
    _grow_old(store, now)

    assert sweep(store) == (0, 0, [blob])
    assert check(store, repair=True).is_clean
    assert [store.load(image_id) for image_id in (kept, other)] == [png(), jpeg()]


def test_an_orphan_under_an_unknown_store_key_stays(store, config, now, tmp_path):
    """A blob that cannot be opened because its store key is missing may be an image: the key may come back."""
    store.save(png())
    with closing(ImageStore.open(replace(config, data_dir=tmp_path / "other"), now=now)) as another:
        foreign = stored.blob_file(another, another.save(jpeg()).id)
        target = stored.file_of_blob(store, foreign.name)
        target.parent.mkdir(exist_ok=True)
        foreign.rename(target)
    _grow_old(store, now)

    assert sweep(store) == (0, 0, [target.name])


def test_notes_on_deleted_images_go_with_their_blobs(store, now):
    """The note that keeps a rebuild from bringing an image back stays as long as a blob of it might, and no longer."""
    store.save(png())
    deleted = store.save(jpeg()).id
    store.delete(deleted)
    store.parts.reaper.drain()
    now.time = stored.time_of_disk(store)

    sweep(store)
    assert [note.image_id for note in store.parts.blobs.buried()] == [deleted]
    now.forward(2 * DAY)
    sweep(store)
    assert list(store.parts.blobs.buried()) == []


def _grow_old(store, now):
    now.time = stored.time_of_disk(store)
    now.forward(2 * DAY)


def test_force_removes_what_a_sweep_would_ask_about(store, now):
    """A sweep that would leave no blob is refused, unless it is forced."""
    store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.time = stored.time_of_disk(store)
    now.forward(2 * DAY)

    with pytest.raises(TooManyOrphans):
        sweep(store)

    assert sweep(store, force=True).orphans == 1
    assert stored.blob_ids(store) == set()
