"""What importing costs, which names are public, and that imports point one way."""

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pixstore
import pixstore.backend
import pixstore.shared

PACKAGE = Path(pixstore.__file__).parent

PURE = tuple(
    f"pixstore.{name}"
    for name in (
        "ids",
        "crypto",
        "proofs",
        "wire",
        "formats",
        "structure",
        "blob_format",
        "details",
        "records",
    )
)
"""Bytes in, values out: no clock, disk, database or request."""


SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path.parent.name != "migrations"  # scripts, loaded by path
}

TOP = ("pixstore.gallery",)
"""The application. Nothing else may know of it, nor of Flask."""


def _imports(module):
    """Return the names that *module* imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _own_imports(module):
    return {name for name in _imports(module) & set(SOURCES) if name not in ("pixstore", module)}


@pytest.mark.parametrize("modules", ("pixstore", "pixstore.backend, pixstore.shared", "pixstore.endpoint"))
def test_importing_loads_neither_flask_nor_an_s3_client(modules):
    """A script that saves images does not pay for a web framework or a cloud."""
    program = f"import json, sys, {modules}; print(json.dumps(sorted(sys.modules)))"

    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = set(json.loads(child.stdout))
    assert "pixstore.store" in loaded
    assert not loaded & {"flask", "werkzeug", "boto3", "botocore", "gunicorn", "psycopg", "psycopg2"}


def test_importing_writes_nothing(tmp_path):
    """Importing makes no directory, no file, and prints nothing."""
    program = "import pixstore, pixstore.backend, pixstore.endpoint"

    child = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE.parent)}, check=True,
    )  # fmt: skip

    assert (child.stdout, child.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module", (pixstore, pixstore.backend, pixstore.shared), ids=lambda module: module.__name__
)
def test_all_is_exactly_what_is_public(module):
    """`__all__` names every function and class that is made or collected here, in order, and nothing else."""
    made_here = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (isinstance(value, type) or callable(value))
        and (value.__module__ == module.__name__ or module is pixstore)
    }

    assert list(module.__all__) == sorted(module.__all__)
    assert set(module.__all__) - {"CustomErrorHandler"} <= made_here
    if module is pixstore:
        assert set(module.__all__) == made_here


def test_the_documented_functions_are_there():
    """The module-level API has exactly the functions that its documentation names."""
    assert set(pixstore.backend.__all__) == {
        "init_pixstore_backend",
        "get_image_record",
        "save_image",
        "save_image_from_file",
        "update_image",
        "update_image_from_file",
        "delete_image",
        "image_exists",
        "custom_endpoint_helper",
    }
    assert {"get_last_pixstore_error", "set_custom_error_handler"} <= set(pixstore.shared.__all__)


def test_every_error_is_public():
    """Whoever catches an error of the library can import it from the top."""
    from pixstore import errors

    raised = {name for name, value in vars(errors).items() if isinstance(value, type)}

    assert raised <= set(pixstore.__all__)


def test_imports_point_one_way():
    """No module imports, even through others, one that imports it."""
    order = TopologicalSorter({module: _own_imports(module) for module in SOURCES if module != "pixstore"})

    order.prepare()  # raises CycleError, naming the modules of the circle


@pytest.mark.parametrize("module", sorted(module for module in SOURCES if not module.startswith(TOP)))
def test_the_library_does_not_know_the_application(module):
    """Below the application no module imports the gallery, its commands or a web framework."""
    imported = _imports(module)

    assert not {name for name in imported if name.startswith(TOP)}
    foreign = (
        {"flask", "werkzeug", "boto3"} if module.endswith(".cli") else {"flask", "werkzeug", "click", "boto3"}
    )
    assert not {name for name in imported if name.split(".")[0] in foreign}


@pytest.mark.parametrize("module", PURE)
def test_the_centre_is_pure(module):
    """The modules that turn bytes into values touch no clock, disk, database or network, nor a module that does."""
    impure = {"time", "datetime", "os", "pathlib", "socket", "sqlite3", "peewee", "threading", "logging"}

    assert not _imports(module) & impure
    structure = {name for name in SOURCES if name.startswith("pixstore.structure")}
    assert _own_imports(module) <= {*PURE, *structure, "pixstore.errors", "pixstore.decoding"}
