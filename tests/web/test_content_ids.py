"""How the gallery knows a file again without keeping anything readable of it."""

import hashlib

import pytest

from pixstore.errors import KeyringError
from pixstore.gallery import accounts, content_ids, pictures, upkeep
from pixstore.gallery.errors import AlreadyThere, NotThere
from pixstore.maintenance import rotation
from tests.images import jpeg, png


@pytest.fixture
def user(anna, gallery):
    """Return Anna's account, as it is now."""
    return lambda: accounts.find_user(gallery, "anna")


def content_of(gallery, picture):
    """Return the content id in the row of the picture."""
    return gallery.models.picture.get_by_id(picture.id).content_id


def is_known(gallery, user, data):
    """Tell whether the account knows the file *data*."""
    return content_ids.is_there(
        gallery, user, content_ids.content_id(content_ids.key_of(gallery, user), data)
    )


def test_an_upload_is_known_again(gallery, user, add_pictures):
    """A file that was uploaded is known by its bytes; one that differs in one bit is not."""
    data = jpeg()
    add_pictures("anna", data=data)

    assert is_known(gallery, user(), data)
    assert not is_known(gallery, user(), data[:-1] + b"\0")


def test_a_content_id_tells_nobody_which_file_it_is(gallery, user, ben, add_pictures):
    """Two accounts with the same file have different content ids, and neither is a plain hash of it."""
    data = jpeg()
    (mine,), (theirs,) = add_pictures("anna", data=data), add_pictures("ben", data=data)

    ids = {content_of(gallery, mine), content_of(gallery, theirs)}

    assert len(ids) == 2
    assert hashlib.sha256(data).digest() not in ids


def test_a_content_key_opens_in_its_own_account_only(gallery, user, ben, add_pictures):
    """A content key that is moved to another account's row does not open there."""
    add_pictures("anna")
    account = gallery.models.user
    account.update(content_key_sealed=user().content_key_sealed).where(account.name == "ben").execute()

    with pytest.raises(Exception, match="wrong key"):
        content_ids.key_of(gallery, accounts.find_user(gallery, "ben"))


def test_a_replaced_picture_is_known_by_its_new_file(gallery, user, add_pictures):
    """After a replacement the account knows the new file, and no longer the old one."""
    old, new = jpeg(seed=1), png(seed=2)
    (picture,) = add_pictures("anna", data=old)

    pictures.replace_picture(gallery, user(), picture, new)

    assert (is_known(gallery, user(), old), is_known(gallery, user(), new)) == (False, True)


def test_a_deleted_picture_is_forgotten(gallery, user, add_pictures):
    """Of a picture that was deleted, the account does not know the file any more."""
    data = jpeg()
    (picture,) = add_pictures("anna", data=data)

    pictures.delete_picture(gallery, user(), picture)

    assert not is_known(gallery, user(), data)


@pytest.mark.parametrize("rotate", (rotation.rotate_service_secret, rotation.rotate_master))
def test_files_are_known_after_a_rotation(gallery, user, add_pictures, rotate):
    """A new service secret or a new master key changes no content id."""
    data = jpeg()
    add_pictures("anna", data=data)

    rotate(gallery.store)

    assert is_known(gallery, user(), data)


def test_files_are_known_after_a_re_encryption(gallery, user, add_pictures, now):
    """The content key moves to the new store key, and the old one is dropped."""
    data = jpeg()
    add_pictures("anna", data=data)
    before = user()
    rotation.rotate_store_key(gallery.store)
    now.forward(2 * rotation.RETIREMENT)

    report = rotation.re_encrypt(
        gallery.store, reseal_texts=lambda _: upkeep.reseal_texts(gallery), text_purposes=upkeep.TEXT_PURPOSES
    )

    assert len(report.dropped_keys) == 1
    assert is_known(gallery, user(), data)
    with pytest.raises(KeyringError):
        content_ids.key_of(gallery, before)


def test_upgrade_learns_the_files_of_an_earlier_release(gallery, user, add_pictures):
    """Pictures that an earlier release added are known by their files once they have been upgraded."""
    data = jpeg()
    (picture,) = add_pictures("anna", data=data)
    row = gallery.models.picture
    row.update(content_id=None).execute()

    report = upkeep.upgrade_pictures(gallery)

    assert (report.pictures, report.failed) == (1, {})
    assert is_known(gallery, user(), data)
    assert row.get_by_id(picture.id).taken_at == picture.taken_at


def test_one_account_can_be_upgraded_alone(gallery, user, ben, add_pictures):
    """The pictures of one account can be brought up to date without touching those of another."""
    add_pictures("anna")
    add_pictures("ben")
    gallery.models.picture.update(content_id=None).execute()

    upkeep.upgrade_pictures(gallery, of=user())

    assert upkeep.count_outdated(gallery, of=user()) == 0
    assert upkeep.count_outdated(gallery) == 1


def test_the_same_file_is_kept_twice_by_the_form(gallery, anna):
    """Uploading a file again adds it again: somebody may want it in two albums."""
    anna.uploads(("one.jpg", jpeg()))
    anna.uploads(("two.jpg", jpeg()))

    assert gallery.models.picture.select().count() == 2


def test_a_second_one_is_refused_where_only_new_ones_are_wanted(gallery, user, add_pictures):
    """Kept only if new, a file that came in while it was decoded is refused, and leaves no blob."""
    data = jpeg()
    (picture,) = add_pictures("anna", data=data)
    album = pictures.view(gallery, picture).album_dir
    upload, before = pictures.decoded(gallery, data), len(list(gallery.store.parts.blobs.blobs()))

    with pytest.raises(AlreadyThere):
        pictures.keep(
            gallery,
            user(),
            pictures.albums.get_album(gallery, user(), album),
            upload,
            file_name="again.jpg",
            only_if_new=True,
        )

    assert len(list(gallery.store.parts.blobs.blobs())) == before


def test_an_account_that_is_gone_has_no_key(gallery, user):
    """No key is made for an account that was deleted meanwhile."""
    gone = user()
    gallery.models.user.delete().where(gallery.models.user.id == gone.id).execute()

    with pytest.raises(NotThere):
        content_ids.key_of(gallery, gone)
    assert content_ids.known_key(gallery, gone) is None
