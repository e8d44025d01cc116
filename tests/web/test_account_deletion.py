"""Deleting an account: all that belongs to it goes, by its own person or an owner of the installation, or nothing does."""

import pytest

from pixstore.gallery import account_deletion, accounts, albums, pictures, sessions
from pixstore.gallery.errors import AccountChanged, InvalidInput
from pixstore.gallery.scopes import Scope
from pixstore.gallery.sessions import CheckedAccount
from pixstore.gallery.throttle import BROWSER
from tests.gallery_client import PASSWORD, GalleryClient
from tests.images import jpeg

CONFIRMED = {"name": "anna", "password": PASSWORD}


@pytest.fixture
def filled(anna, gallery, add_pictures):
    """Return Anna, who has three pictures in two albums."""
    add_pictures("anna", 2)
    anna.uploads(("sea.jpg", jpeg(seed=9)), new_album="Walks")
    return anna


def user_of(gallery, name):
    """Return an account."""
    return accounts.find_user(gallery, name)


def everything(gallery):
    """Return how many rows there are of all that an account can have, and how many images."""
    models = gallery.models
    counted = (models.user, models.album, models.picture, models.login_session)
    return [*(model.select().count() for model in counted), gallery.store.parts.models.image.select().count()]


# --- by oneself


def test_everything_goes(filled, gallery, add_pictures, ben):
    """Account, albums, pictures, thumbnails, logins and sealed bytes are gone; other accounts keep theirs."""
    add_pictures("ben", 1)

    answer = filled.post("/account/delete", CONFIRMED)
    gallery.store.parts.reaper.reap()

    assert answer.location == "/login"
    assert user_of(gallery, "anna") is None
    assert everything(gallery) == [1, 1, 1, 1, 2]
    assert len(list(gallery.store.parts.blobs.blobs())) == 2
    assert ben.get("/").text.count('<li class="card') == 1


def test_every_login_ends_at_once(filled, app):
    """Other browsers of the account are logged out with it, and this one drops what it keeps."""
    elsewhere = GalleryClient(app).logs_in("anna")

    answer = filled.post("/account/delete", CONFIRMED)

    assert elsewhere.get("/").location == "/login"
    assert filled.get("/").location == "/login"
    assert answer.headers["Clear-Site-Data"] == '"storage"'
    assert "Your account and all its pictures have been deleted." in filled.get("/login").text
    assert filled.flask.get_cookie("pixstore-device") is None
    assert GalleryClient(app).post("/login", CONFIRMED).status_code == 422


def test_page_says_what_will_happen_and_offers_the_export_first(filled):
    """The question tells how much goes, that it cannot be undone, and lets one take the pictures along; it deletes nothing."""
    page = filled.get("/account/delete").text

    assert "3 pictures" in page
    assert "2 albums" in page
    assert "This cannot be undone." in page
    assert 'data-forget="*"' in page
    assert page.index('action="/account/export"') < page.index('action="/account/delete"')
    assert 'href="/account/delete"' in filled.get("/account").text
    assert filled.get("/").status_code == 200


@pytest.mark.parametrize("name", ("", "ann", "ben", "anna2", "a nna"), ids=repr)
def test_it_takes_the_name(filled, gallery, name):
    """Without the name of the account nothing is deleted, and what was typed is still there."""
    before = everything(gallery)

    answer = filled.post("/account/delete", {"name": name, "password": PASSWORD})

    assert answer.status_code == 422
    assert "Please type the name of the account, anna." in answer.text
    assert f'value="{name}"' in answer.text
    assert everything(gallery) == before


def test_name_may_be_typed_as_at_the_login(filled, gallery):
    """Capitals and blanks around the name make no difference, as they make none when logging in."""
    filled.post("/account/delete", {"name": " Anna ", "password": PASSWORD})

    assert user_of(gallery, "anna") is None


def test_it_takes_the_password(filled, gallery):
    """Whoever finds an open browser cannot delete anything, and cannot try passwords in it without end."""
    before = everything(gallery)

    answers = [
        filled.post("/account/delete", {"name": "anna", "password": "wrong"}) for _ in range(BROWSER.free + 1)
    ]

    assert [answer.status_code for answer in answers] == [422] * BROWSER.free + [429]
    assert "This is not your current password." in answers[0].text
    assert answers[-1].headers["Retry-After"] == "1"
    assert everything(gallery) == before


def test_password_that_is_no_longer_right(filled, gallery):
    """A password that was changed after it was checked deletes nothing."""
    user = user_of(gallery, "anna")
    checked = CheckedAccount.of(user)
    accounts.set_password(gallery, user, "another good phrase")
    before = everything(gallery)

    with pytest.raises(AccountChanged):
        account_deletion.delete_user(gallery, user, typed_name="anna", by=checked)

    assert everything(gallery) == before


def test_name_is_free_again(filled, gallery, olga):
    """A new account of the same name begins with nothing, and no earlier login opens it."""
    stolen = GalleryClient(filled.app)
    stolen.flask.set_cookie("pixstore", filled.cookie)
    filled.post("/account/delete", CONFIRMED)

    accounts.create_user(gallery, "anna", PASSWORD)

    assert stolen.get("/").location == "/login"
    assert "No pictures yet" in GalleryClient(filled.app).logs_in("anna").get("/").text


def test_lost_images_are_no_obstacle(filled, gallery):
    """An account can be deleted although the store has lost one of its images."""
    gallery.store.delete(gallery.models.picture.get().original_id)

    filled.post("/account/delete", CONFIRMED)

    assert everything(gallery) == [0, 0, 0, 0, 0]


# --- by an owner


def test_owner_deletes_an_account(filled, olga, gallery):
    """An owner of the installation deletes somebody's account with the own password and the other's name."""
    user = user_of(gallery, "anna")

    answer = olga.post(f"/users/{user.id}/delete", CONFIRMED)

    assert answer.location == "/users"
    assert "anna and all pictures of that account have been deleted." in olga.get("/users").text
    assert filled.get("/").location == "/login"
    assert everything(gallery) == [1, 1, 0, 1, 0]
    assert "Clear-Site-Data" not in answer.headers


def test_owner_is_told_the_same_and_sees_no_picture(filled, olga, gallery):
    """The question names account and numbers, offers no export of other people's pictures, and shows none."""
    user = user_of(gallery, "anna")

    page = olga.get(f"/users/{user.id}/delete").text

    assert "Delete the account anna?" in page
    assert "3 pictures" in page
    assert "/account/export" not in page
    assert "data-forget" not in page
    assert "<pixstore-image" not in page
    assert f'href="/users/{user.id}/delete"' in olga.get("/users").text


def test_account_that_cannot_log_in_can_be_deleted(olga, gallery):
    """So can one that is disabled, or that came back without its password."""
    user = accounts.add_user(gallery, "anna")

    olga.post(f"/users/{user.id}/delete", CONFIRMED)

    assert user_of(gallery, "anna") is None


def test_own_account_is_deleted_on_its_own_page(olga, gallery):
    """An owner is led from the list of people to the page that also offers the export."""
    accounts.create_user(gallery, "otto", PASSWORD, is_owner=True)
    user = user_of(gallery, "olga")

    answer = olga.post(f"/users/{user.id}/delete", {"name": "olga", "password": PASSWORD})

    assert answer.location == "/account/delete"
    assert user_of(gallery, "olga") is not None


def test_account_that_does_not_exist(olga):
    """The page of nobody is 404."""
    assert olga.get("/users/nobody/delete").status_code == 404
    assert olga.post("/users/nobody/delete", CONFIRMED).status_code == 404


# --- the last owner


def test_the_last_owner_stays(olga, anna, gallery):
    """The only owner is told so, and cannot be deleted."""
    answer = olga.post("/account/delete", {"name": "olga", "password": PASSWORD})

    assert answer.status_code == 422
    assert "You are the only owner of this gallery" in answer.text
    assert "Delete for good" not in olga.get("/account/delete").text
    assert olga.get("/users").status_code == 200


def test_an_owner_who_cannot_log_in_is_none(olga, gallery):
    """A disabled owner does not count: nobody could manage the accounts."""
    other = accounts.create_user(gallery, "otto", PASSWORD, is_owner=True)
    accounts.disable_user(gallery, other, by=user_of(gallery, "olga"))

    assert olga.post("/account/delete", {"name": "olga", "password": PASSWORD}).status_code == 422


def test_one_of_two_owners_may_go(olga, gallery):
    """Where somebody else manages the accounts, an owner can be deleted."""
    accounts.create_user(gallery, "otto", PASSWORD, is_owner=True)

    assert olga.post("/account/delete", {"name": "olga", "password": PASSWORD}).status_code == 303
    assert accounts.has_owner(gallery)


def test_two_owners_at_once(olga, gallery, monkeypatch):
    """When two owners delete themselves at the same time, one of them stays."""
    for name in ("otto", "ida"):
        accounts.create_user(gallery, name, PASSWORD, is_owner=True)
    users = {name: user_of(gallery, name) for name in ("otto", "ida", "olga")}
    accounts.disable_user(gallery, users["ida"], by=users["olga"])
    image_ids = account_deletion._image_ids

    def meanwhile_the_other(*args):
        monkeypatch.setattr(account_deletion, "_image_ids", image_ids)
        by = CheckedAccount.of(users["otto"])
        account_deletion.delete_user(gallery, users["otto"], typed_name="otto", by=by)
        return image_ids(*args)

    monkeypatch.setattr(account_deletion, "_image_ids", meanwhile_the_other)
    by = CheckedAccount.of(users["olga"])

    with pytest.raises(InvalidInput, match="only owner"):
        account_deletion.delete_user(gallery, users["olga"], typed_name="olga", by=by)

    assert [user.name for user in accounts.list_users(gallery)] == ["ida", "olga"]


# --- all or nothing


def test_nothing_goes_where_something_fails(filled, gallery, monkeypatch):
    """If the last row cannot be removed, every picture, album and login is still there."""
    before = everything(gallery)

    def fails(*_):
        raise RuntimeError("in the middle")

    filled.app.config["PROPAGATE_EXCEPTIONS"] = False
    with monkeypatch.context() as patched:
        patched.setattr(sessions, "end_all", fails)
        answer = filled.post("/account/delete", CONFIRMED)

    assert answer.status_code == 500
    assert everything(gallery) == before
    user = user_of(gallery, "anna")
    for picture in pictures.page(gallery, Scope(user.id)).pictures:
        assert gallery.store.load(picture.original.id)


@pytest.mark.parametrize("change", ("added", "removed"))
def test_pictures_that_come_or_go_meanwhile(filled, gallery, monkeypatch, add_pictures, change):
    """A picture that is added or deleted during the deletion stops it: nothing goes, and nothing is forgotten."""
    user, existing_images = user_of(gallery, "anna"), albums.existing_images
    (last,) = add_pictures("anna")

    def meanwhile(*args):
        found = existing_images(*args)
        monkeypatch.setattr(albums, "existing_images", existing_images)
        if change == "added":
            add_pictures("anna")
        else:
            pictures.delete_picture(gallery, user, last)
        return found

    monkeypatch.setattr(albums, "existing_images", meanwhile)

    answer = filled.post("/account/delete", CONFIRMED)

    assert answer.status_code == 422
    assert "Pictures were added or removed just now." in answer.text
    assert filled.get("/").text.count('<li class="card') == (5 if change == "added" else 3)
    assert filled.post("/account/delete", CONFIRMED).status_code == 303


def test_an_upload_under_way_is_refused(filled, gallery, monkeypatch):
    """A picture that is still being encrypted when its account goes is not kept."""
    user, decode = user_of(gallery, "anna"), pictures.decode

    def meanwhile_deleted(image, **options):
        monkeypatch.setattr(pictures, "decode", decode)
        by = CheckedAccount.of(user)
        account_deletion.delete_user(gallery, user, typed_name="anna", by=by)
        return decode(image, **options)

    monkeypatch.setattr(pictures, "decode", meanwhile_deleted)

    answer = filled.sends_upload(("late.jpg", jpeg(seed=3)))
    gallery.store.parts.reaper.reap()

    assert answer.status_code == 404
    assert everything(gallery) == [0, 0, 0, 0, 0]
    assert list(gallery.store.parts.blobs.blobs()) == []
