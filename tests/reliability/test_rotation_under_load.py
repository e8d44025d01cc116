"""Keys rotated while the store is in use: the short form."""

from tests.torture.tools.outcomes import run_program


def test_rotation_under_load_survives_being_killed():
    """When keys are rotated while others read and update, and the rotation is killed, every image stays readable."""
    assert run_program("rotation_under_load", images=150, kills=5).anomalies == []
