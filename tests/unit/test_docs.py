"""What the documents say of the program is what the program does."""

import dataclasses
import re
from pathlib import Path

import pytest

from pixstore import blob_format, crypto, wire
from pixstore.config import Config
from pixstore.settings import readme_row
from tests.torture.rows import ROWS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FORMATS = (ROOT / "docs" / "format.md").read_text()

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("setting", dataclasses.fields(Config), ids=lambda setting: setting.name)
def test_every_setting_stands_in_the_readme(setting):
    """The settings table has each setting with its default and the help text of the program; `make readme` writes it."""
    assert readme_row(setting) in README.splitlines()


def test_the_readme_has_no_setting_that_is_gone():
    """The settings table names nothing the program does not know."""
    named = set(re.findall(r"^\| `PIXSTORE_([A-Z_]+)` \|", README, re.MULTILINE))

    assert named == {setting.name.upper() for setting in dataclasses.fields(Config)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    """Every relative link in a document names a file that is there."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())

    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


def test_the_blob_table_has_the_sizes_of_the_code():
    """docs/format.md and the code agree on where each field of a blob lies."""
    head = blob_format.BlobHead("00" * 8, "00" * 16, 0, b"k" * 60, b"i" * 12, b"t" * 16, "abcdefgh")
    encoded = blob_format.encode_head(head)

    assert f"| 40 | {crypto.WRAPPED_KEY_SIZE} | wrapped image key" in FORMATS
    assert "| 128 | 1 | length *i* of the image id |" in FORMATS
    assert encoded[128] == len("abcdefgh")
    assert encoded[40:100] == b"k" * 60
    assert encoded[100:128] == b"i" * 12 + b"t" * 16


@pytest.mark.parametrize("state", wire.WireState)
def test_every_wire_state_stands_in_the_format(state):
    """docs/format.md lists each state of the wire payload by number and name."""
    name = state.name.title().replace("_", "").replace("Id", "ID")

    assert f"| {state.value} | {name} |" in FORMATS


def test_the_tests_that_the_threat_model_names_exist():
    """Each promise of the threat model names tests that are there."""
    text = (ROOT / "docs" / "threat-model.md").read_text().partition("## Shown by")[2]
    missing, path = [], None
    for file, name in re.findall(r"`(tests/[a-z_/]+\.py)?::(test_[a-z_]+)`", text):
        path = ROOT / file if file else path
        if f"def {name}(" not in path.read_text():
            missing.append(name)

    assert missing == []
    assert path is not None


def test_every_torture_program_stands_in_the_index():
    """tests/torture/README.md has a line for each program, with its short form and the seeded faults of its rows."""
    torture = ROOT / "tests" / "torture"
    lines = re.findall(
        r"^\| `(\w+)` \| .+ \| (.+) \| (.+) \|$", (torture / "README.md").read_text(), re.MULTILINE
    )
    seeds = {row.program: {f"`{seed}`" for seed in row.seeds} for row in ROWS}

    assert sorted(program for program, _, _ in lines) == sorted(
        path.stem for path in (torture / "programs").glob("*.py")
    )
    for program, short_form, faults in lines:
        assert set(re.findall(r"`\w+`", faults)) == seeds[program]
        for name in re.findall(r"`(\w+\.py)`", short_form):
            assert program in (ROOT / "tests" / "reliability" / name).read_text()
