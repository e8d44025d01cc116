"""The health check, for monitoring."""

from flask import Blueprint
from werkzeug.wrappers import Response

from pixstore.gallery.web.access import access, get_gallery

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@access(public=True, bare=True)
def check() -> Response:
    """Answer 200 if the database answers. Otherwise the usual error page is the answer."""
    store = get_gallery().store
    with store.connected():
        store.database.execute_sql("SELECT 1")
    return Response("ok\n", mimetype="text/plain")
