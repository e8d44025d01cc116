"""`check`: compare every record with its image, find what is damaged, and mend what can be mended."""

import json
import shutil
from contextlib import closing

import pytest

from pixstore.maintenance import check as checking
from pixstore.maintenance.check import check
from pixstore.maintenance.sweep import FEW_ORPHANS, sweep
from pixstore.store import ImageStore
from tests import stored
from tests.images import jpeg, png


def test_a_sound_store(run, anna, add_pictures):
    """A check that finds nothing says how much it looked at, with exit code 0."""
    add_pictures("anna", 2)

    result = run("check", "--deep")

    assert (result.exit_code, result.stdout) == (0, "4 images, 4 blobs, 0 findings\n")


def test_a_damaged_image_is_named(run, anna, add_pictures, gallery):
    """A deep check finds a flipped bit, also as JSON, with exit code 1, and finds nothing else."""
    damaged, _ = add_pictures("anna", 2)
    stored.flip_last_bit(stored.blob_file(gallery.store, damaged.original_id))

    result = run("check", "--deep", "--json")

    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["kind"], finding["image_id"]) == ("damaged", damaged.original_id)
    assert run("check").exit_code == 0


def test_a_damaged_record_is_mended(run, anna, add_pictures, gallery):
    """A repair writes a damaged row again from its blob, and the picture opens."""
    (picture,) = add_pictures("anna", 1)
    stored.change_row(gallery.store, picture.original_id, wrapped_key=bytes(60), size=1)

    result = run("check", "--deep", "--repair")

    assert result.exit_code == 0
    assert "disagrees" in result.stdout
    assert "(repaired)" in result.stdout
    assert gallery.store.load(picture.original_id) == jpeg(seed=0)
    assert run("check", "--deep").stdout == "2 images, 2 blobs, 0 findings\n"


# --- what is wrong, by kind


def _cut_off(store, image_id):
    path = stored.blob_file(store, image_id)
    path.write_bytes(path.read_bytes()[:60])


def _take_the_key_of_another(store, image_id):
    other = stored.blob_file(store, store.save(png()).id).read_bytes()
    path = stored.blob_file(store, image_id)
    sealed = path.read_bytes()
    path.write_bytes(sealed[:40] + other[40:100] + sealed[100:])


def _unseal_in_place(store, image_id):
    path = stored.blob_file(store, image_id)
    image = store.load(image_id)
    path.write_bytes(path.read_bytes()[: -len(image)] + image)


DAMAGE = {
    "missing": lambda store, image_id: stored.blob_file(store, image_id).unlink(),
    "unreadable": _cut_off,
    "wrong_key": _take_the_key_of_another,
    "disagrees": lambda store, image_id: stored.change_row(store, image_id, size=1),
    "damaged": lambda store, image_id: stored.flip_last_bit(stored.blob_file(store, image_id)),
    "plaintext": _unseal_in_place,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_kind_of_damage_has_its_name(store, kind):
    """A deep check names the image that is damaged, says in which way, and names no other."""
    harmed, _ = store.save(png()).id, store.save(jpeg())
    DAMAGE[kind](store, harmed)

    (finding,) = check(store, deep=True).findings

    assert (finding.kind, finding.image_id, finding.repaired) == (kind, harmed, False)


def test_an_orphan_is_named_and_swept(store, now):
    """A blob that no record names is a finding without an image; a repair removes it."""
    store.save(png())
    store.parts.blobs.put("ab" * 16, [b"left by a crash"])
    now.time = stored.time_of_disk(store) + 2 * store.config.orphan_grace

    found, repaired = check(store), check(store, repair=True)

    assert [(f.kind, f.image_id, f.blob_id) for f in found.findings] == [("orphan", None, "ab" * 16)]
    assert repaired.is_clean
    assert len(stored.blob_ids(store)) == 1


def test_a_database_put_back_is_mended(config, now, tmp_path):
    """Where every image was replaced since the copy of a database, a repair brings all of them back: no orphan is in its way."""
    with closing(ImageStore.open(config, now=now)) as store:
        saved = [store.save(png(seed=seed)).id for seed in range(FEW_ORPHANS + 5)]
    shutil.copy(config.sqlite_path, tmp_path / "old")
    with closing(ImageStore.open(config, now=now)) as store:
        for image_id in saved:
            store.update(image_id, jpeg())
        store.parts.reaper.drain()
    stored.lose_database(config)
    shutil.copy(tmp_path / "old", config.sqlite_path)

    with closing(ImageStore.open(config, now=now)) as store:
        now.time = stored.time_of_disk(store) + 2 * config.orphan_grace
        assert sweep(store).orphans == 0
        assert check(store, repair=True).is_clean
        assert {store.load(image_id) for image_id in saved} == {jpeg()}


def test_an_interrupted_check_goes_on(store, monkeypatch):
    """With *resume*, a check goes on behind the last portion that was finished, and keeps what it had found."""
    saved = sorted(store.save(png()).id for _ in range(5))
    stored.change_row(store, saved[0], size=1)
    monkeypatch.setattr(checking, "BATCH", 2)

    def interrupt(done, _total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(store, progress=interrupt)
    seen = []
    report = check(store, resume=True, progress=lambda done, _total: seen.append(done))

    assert seen == [3, 4, 5]
    assert [finding.image_id for finding in report.findings] == saved[:1]
    assert report.images == 5
