"""What a run says of itself, as people see it."""

import pytest
from mooring_operator.planning.runs.run import RunState
from mooring_operator.reconcile.answers import shown

URL = "https://store/mooring/v.json?X-Amz-Credential=AKID&X-Amz-Signature=00ff"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (f"PUT {URL} failed", "PUT https://store/mooring/v.json?... failed"),
        ("two\nlines\x1b[2J", "two lines?[2J"),
        ("x" * 9000, "x" * 497 + "..."),
    ],
)
def test_no_signature_no_second_line_and_nothing_for_terminals(said, seen):
    state = shown(RunState("r", "Failed", said))
    assert state is not None
    assert state.message == seen


def test_no_run_is_no_run():
    assert shown(None) is None
