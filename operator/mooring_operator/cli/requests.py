"""What a person asks of a rollout, as the annotations that ask for it.

Every request names the revision that it is about, and an approval the step too: one that comes too
late, after the rollout has moved on, then does nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mooring_operator.api import reasons
from mooring_operator.api.names import COMMAND_PREFIX, Command, asker_annotation
from mooring_operator.api.rollout_status import Candidate
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.errors import RefusedError
from mooring_operator.cli.steps_view import describe_stage
from mooring_operator.planning.strategies.course import course_of


@dataclass(frozen=True)
class Request:
    """A command to give, or with value None to take back; `then` says what will happen.

    wins: the revision that an A/B test is decided for, where that is not the new one.
    """

    command: Command
    value: str | None
    then: str
    wins: str = ""

    @property
    def role(self) -> str:
        """The ClusterRole that allows it."""
        return "mooring-approver" if self.command == "approve" else "mooring-operator-of-rollouts"

    def annotations(self, note: str, user: str) -> dict[str, str | None]:
        """Give the annotations to set, those with None to remove; `user` asks, empty where that is not known."""
        value = None if self.value is None else f"{self.value} {' '.join(note.split())}".strip()
        return {
            COMMAND_PREFIX + self.command: value,
            asker_annotation(self.command): None if value is None else user or None,
        }


def approve(deployment: Deployment) -> Request:
    """Let the rollout go on from the step that waits for a person."""
    candidate = deployment.status.candidate
    awaited = (*reasons.AWAIT_A_PERSON, reasons.SIDE_BY_SIDE)
    if candidate is None or deployment.status.reason not in awaited:
        hint = ""
        if "pause" in deployment.commands:
            hint = f"it is paused by hand: mooring resume {deployment.name}"
        elif candidate is not None:
            hint = f"mooring promote {deployment.name} skips the steps that are left"
        raise _unfit(deployment, "nothing awaits approval", hint)
    following = course_of(deployment.spec.rollout)[candidate.step + 1 :]
    then = f"next: {describe_stage(following[0])}" if following else "next: it takes over"
    return Request("approve", f"{candidate.revision}/{candidate.step}", then)


def promote(deployment: Deployment) -> Request:
    """Skip the steps that are left."""
    candidate = _candidate(deployment, "nothing is on its way to be promoted")
    _has_steps_left(deployment, "to skip")
    if any(known.type == "Stalled" and known.status == "True" for known in deployment.status.conditions):
        hint = "correct what it names first; given now, the command would skip every step then"
        raise _unfit(deployment, "what is asked for cannot be carried out", hint)
    tested = deployment.status.phase not in ("Testing", "Pending")
    then = "it takes over as soon as it is ready" if tested else "once its tests have passed, it takes over"
    return Request("promote", candidate.revision, then)


def promote_another(deployment: Deployment, arm: str) -> Request:
    """Decide an A/B test for another arm than the new one: `Stable`, a variant's name, or a revision."""
    candidate = _candidate(deployment, "no A/B test goes on")
    status = deployment.status
    if arm == candidate.revision:
        return promote(deployment)
    if status.stable is None or not candidate.matched:
        raise _unfit(deployment, "no A/B test goes on", f"mooring promote {deployment.name} skips the steps")
    arms = {"Stable": status.stable} | {
        one.variant: one for one in status.retained if one.variant is not None
    }
    won = arms.get(arm) or next((one for one in arms.values() if one.revision == arm), None)
    if won is None:
        parts = ", ".join(f"{name} ({one.revision})" for name, one in arms.items())
        raise _unfit(deployment, f"{arm!r} takes no part in the test: New ({candidate.revision}), {parts} do")
    stays = won is status.stable
    then = (
        f"{'it keeps' if stays else 'it gets'} all traffic; {candidate.revision} is not tried again by itself"
    )
    return Request(
        "promote", won.revision, f"revision {won.revision} ({won.model_uri}): {then}", won.revision
    )


def abort(deployment: Deployment) -> Request:
    """End the rollout."""
    candidate = _candidate(deployment, "nothing is on its way that could be aborted")
    stable = deployment.status.stable
    then = f"revision {stable.revision} gets all traffic" if stable else "nothing is served"
    return Request("abort", candidate.revision, f"{then}; {candidate.revision} is not tried again by itself")


def retry(deployment: Deployment) -> Request:
    """Try the rejected revision again."""
    failed = deployment.status.failed_revision
    if failed is None:
        raise _unfit(deployment, "no revision was rejected")
    again = "it is tested again" if deployment.spec.ci else "it is rolled out again"
    return Request("retry", failed, f"{again}, attempt {deployment.status.failed_attempt + 1}")


def pause(deployment: Deployment) -> Request:
    """Hold the rollout between two steps."""
    candidate = _candidate(deployment, "nothing is on its way that could be paused")
    _has_steps_left(deployment, "to pause between")
    then = f"it stays at its weight from the next step on, until: mooring resume {deployment.name}"
    return Request("pause", candidate.revision, then)


def resume(deployment: Deployment) -> Request:
    """Let a paused rollout go on."""
    if "pause" not in deployment.commands:
        hint = ""
        if deployment.status.reason in reasons.AWAIT_A_PERSON:
            hint = f"it waits for an approval: mooring approve {deployment.name}"
        raise _unfit(deployment, "it was not paused by hand", hint)
    return Request("pause", None, "the rollout goes on with its next step")


def rollback(deployment: Deployment) -> Request:
    """Bring the previous revision back."""
    stable, previous = deployment.status.stable, deployment.status.previous
    if stable is None or previous is None:
        raise _unfit(deployment, "no revision was promoted before the one that serves")
    if deployment.status.candidate is not None and deployment.status.candidate.restores:
        raise _unfit(deployment, f"revision {previous.revision} is coming back already")
    then = f"revision {previous.revision} ({previous.model_uri}) takes over as soon as it is ready"
    if deployment.spec.rollout.strategy == "Recreate":
        then += "; nothing answers until then"
    return Request("rollback", stable.revision, then)


REQUESTS: dict[str, Callable[[Deployment], Request]] = {
    "approve": approve,
    "promote": promote,
    "abort": abort,
    "retry": retry,
    "pause": pause,
    "resume": resume,
    "rollback": rollback,
}


def reached(request: str, deployment: Deployment) -> bool:
    """Whether there is nothing more to wait for."""
    if request == "pause" and deployment.status.reason == reasons.PAUSED_BY_COMMAND:
        return True
    return deployment.settled


def succeeded(request: str, deployment: Deployment, wins: str = "") -> bool:
    """Whether a deployment that was waited for is where `request` wanted it: with the revision that `wins`."""
    status = deployment.status
    if wins:
        return status.phase != "Failed" and status.stable is not None and status.stable.revision == wins
    if request == "rollback":
        return status.phase == "RolledBack" and status.reason == reasons.ROLLBACK_REQUESTED
    if request == "abort":
        return status.phase in ("RolledBack", "Failed") and status.reason == reasons.ABORTED
    if request == "pause":
        return status.reason == reasons.PAUSED_BY_COMMAND
    return status.phase == "Promoted"


def _candidate(deployment: Deployment, problem: str) -> Candidate:
    candidate = deployment.status.candidate
    if candidate is None:
        raise _unfit(deployment, problem)
    if candidate.restores:
        raise _unfit(
            deployment, f"revision {candidate.revision} is coming back by a rollback, which goes to its end"
        )
    return candidate


def _has_steps_left(deployment: Deployment, purpose: str) -> None:
    candidate, steps = deployment.status.candidate, course_of(deployment.spec.rollout)
    if deployment.status.stable is None:
        raise _unfit(deployment, f"this is the first revision: it has no steps {purpose}")
    if candidate is not None and candidate.step >= len(steps):
        raise _unfit(deployment, f"it has taken its last step: there are none left {purpose}")


def _unfit(deployment: Deployment, problem: str, hint: str = "") -> RefusedError:
    status = deployment.status
    stands = f"{status.phase}: {status.message}" if status.message else status.phase
    return RefusedError(f"{deployment.name}: {problem} ({stands})", hint=hint)
