"""How a history has to end, whatever happened in it."""

from mooring_operator.api.rollout_status import Revision

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.play import RESTING, heal, is_stalled, rest
from tests.unit.operator.planning.witness.witness import Witness


def ends(witness: Witness) -> Revision | None:
    """Heal what is broken and go on to the end; give what serves all then, None where a candidate still waits."""
    fleet = witness.fleet
    heal(fleet)
    rest(witness)
    status = fleet.status
    assert status.phase in RESTING or is_stalled(fleet), (status.phase, status.message)
    assert status.stable is not None
    if status.candidate is not None:
        return None
    assert fleet.routed[status.stable.revision] == 100
    kept = [known.revision for known in status.retained]
    assert kept == witness.account.history[: fleet.spec.revision_history_limit], "another history is kept"
    return status.stable


def same_end(one: Fleet, other: Fleet) -> None:
    """Two histories came to the same end."""
    assert (one.status.phase, one.status.reason) == (other.status.phase, other.status.reason)
    assert one.routed == other.routed
    assert one.pods == other.pods
    assert one.commands == other.commands
    assert len(one.checked) == len(other.checked), "a check was started again"
    assert _outcomes(one) == _outcomes(other)
    assert [known.revision for known in one.status.retained] == [k.revision for k in other.status.retained]


def _outcomes(fleet: Fleet) -> list[tuple[str, str]]:
    return [(entry.revision, entry.outcome) for entry in fleet.status.history]
