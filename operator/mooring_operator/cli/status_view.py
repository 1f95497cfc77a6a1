"""Writes where a ModelDeployment stands."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from mooring_operator.api import reasons
from mooring_operator.api.checks import IN_WORDS
from mooring_operator.api.rollout_status import Candidate, HistoryEntry, Retained, Revision
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.types import Condition
from mooring_operator.cli.cluster import event_time
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.failures import failure_lines
from mooring_operator.cli.steps_view import bar, describe_stage
from mooring_operator.cli.styles import phase_style
from mooring_operator.cli.tables import heading, plain_table
from mooring_operator.cli.times import age, age_of, short
from mooring_operator.planning.freezes import next_start
from mooring_operator.planning.manifests import check_jobs
from mooring_operator.planning.status.conditions import RECONCILED
from mooring_operator.planning.status.wording import because, by_whom
from mooring_operator.planning.strategies.course import Exposure, course_of

_EVENTS = 5
_HISTORY = 5
_SOON = timedelta(seconds=30)


class StatusView:
    """A ModelDeployment as text; sections that have nothing to say are left out."""

    def __init__(self, deployment: Deployment, events: list[dict[str, Any]], now: datetime) -> None:
        self._deployment = deployment
        self._status = deployment.status
        self._events = events
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Write the sections, with characters that the terminal has."""
        yield from self._head()
        yield from self._revisions()
        yield from self._steps(ascii_only=options.ascii_only)
        yield from self._analysis()
        yield from self._ci()
        yield from self._conditions()
        yield from self._history()
        yield from self._recent_events()

    def _head(self) -> Iterator[RenderableType]:
        deployment, status = self._deployment, self._status
        yield Text.assemble(
            ("ModelDeployment ", "dim"),
            (f"{deployment.namespace}/{deployment.name}", "bold"),
            "  ",
            (status.phase, f"bold {phase_style(status.phase)}"),
        )
        if status.message:
            yield Text(status.message)
        yield from failure_lines(status.conditions)
        if not deployment.up_to_date:
            yield Text(_unseen(deployment, self._now), "yellow")
        for command, value in deployment.commands.items():
            revision, _, note = value.partition(" ")
            asked = f"{revision}{by_whom(deployment.askers.get(command, ''))}{because(note)}"
            yield Text(f"Asked: {command} {asked}", "magenta")
        if status.url:
            yield Text.assemble(("URL ", "dim"), status.url)
        if (freeze := next_start(deployment.spec.rollout.freeze, self._now)) is not None:
            yield Text.assemble(("Next freeze ", "dim"), f"from {freeze}")
        if status.router:
            yield Text.assemble(("Router ", "dim"), status.router.name, because(status.router.message))

    def _revisions(self) -> Iterator[RenderableType]:
        status = self._status
        candidate = status.candidate
        strategy = self._deployment.spec.rollout.strategy
        taken = _taken(candidate, strategy) if candidate and status.stable else 0
        taken += sum(_seen(known) for known in status.retained if known.variant)
        rows = []
        if status.stable:
            rows.append(self._revision("stable", status.stable, f"{100 - taken}%"))
        if candidate:
            rows.append(self._revision("candidate", candidate, _traffic(candidate)))
        retained = [known.revision for known in status.retained]
        if status.previous and status.previous.revision not in retained:
            rows.append(self._revision("previous", status.previous, ""))
        rows += [self._revision(_role(known), known, _variants_traffic(known)) for known in status.retained]
        if status.failed_revision:
            tries = f"rejected after {status.failed_attempt} attempt{'s' * (status.failed_attempt > 1)}"
            rows.append([Text("rejected", "red"), status.failed_revision, "", "", tries, ""])
        if rows:
            columns = ["", "REVISION", "TRAFFIC", "SINCE", "MODEL", "RUNTIME"]
            shown = len(columns) if any(row[-1] for row in rows) else -1
            yield heading("Revisions")
            yield plain_table(columns[:shown], [row[:shown] for row in rows])
        if status.candidate and (people := _people(status.candidate)):
            yield Text(f"  {people}", "dim")

    def _revision(self, role: str, revision: Revision, weight: str) -> list[str | Text]:
        since = f"{age(revision.since, self._now)} ago" if revision.since else ""
        if isinstance(revision, Candidate):
            since = f"{age(revision.started_at, self._now)} ago"
            since += f", attempt {revision.attempt}" if revision.attempt > 1 else ""
            role += ", coming back" if revision.restores else ""
        runtime = (
            describe_runtime(revision.runtime) if revision.runtime else revision.serving.get("runtime", "")
        )
        if runtime and revision.runtime and self._deployment.spec.serving.runtime_policy == "Pinned":
            runtime += ", pinned"
        return [role, revision.revision, weight, since, revision.model_uri, runtime]

    def _steps(self, *, ascii_only: bool) -> Iterator[RenderableType]:
        """Draw the steps of a rollout that shares traffic: done, current, to come."""
        candidate = self._status.candidate
        if candidate is None or self._status.stable is None or candidate.restores:
            return
        done, current, to_come = ("x", ">", ".") if ascii_only else ("✓", "▶", "·")
        rows: list[list[str | Text]] = []
        for index, stage in enumerate(course_of(self._deployment.spec.rollout)):
            mark = done if index < candidate.step else current if index == candidate.step else to_come
            style = "green" if mark == done else "bold" if mark == current else "dim"
            weight = bar(stage.weight, ascii_only=ascii_only) if isinstance(stage, Exposure) else ""
            what = describe_stage(stage, self._deployment.spec.rollout.ab_test) + _found_at(candidate, index)
            rows.append([Text(mark, style), str(index), Text(weight, style), Text(what, style)])
        yield heading("Steps")
        yield plain_table(["", "", "", ""], rows)

    def _analysis(self) -> Iterator[RenderableType]:
        found = self._status.analysis
        if found is None:
            return
        style = {"PASS": "green", "FAIL": "red"}.get(found.verdict, "yellow")
        compared = f"revision {found.candidate} beside {found.stable}"
        if found.promoted_at is not None:
            compared = f"revision {found.candidate}, promoted {age(found.promoted_at, self._now)} ago"
        counted = f"counted up to {age(found.until, self._now)} ago"
        yield heading("Analysis")
        yield Text.assemble("  ", (found.verdict, style), f"  {compared}, {counted}")
        if found.message:
            yield Text(f"  {found.message}")
        if found.measured:
            yield Text(f"  {found.measured}")
        if found.templates:
            yield Text(f"  by templates {found.templates}", "dim")
        if found.problem:
            yield Text(f"  {found.problem}", "yellow")

    def _ci(self) -> Iterator[RenderableType]:
        ci = self._status.ci
        if ci is None:
            return
        outcome = ci.verdict or ci.state
        style = {"Passed": "green", "Failed": "red"}.get(outcome, "yellow")
        started = f"asked for {age(ci.started_at, self._now)} ago"
        yield heading("CI")
        yield Text.assemble("  ", (outcome, style), f"  run {ci.run_id} of revision {ci.revision}, {started}")
        if ci.url:
            yield Text(f"  {ci.url}", no_wrap=True, overflow="ignore")
        if ci.test_data_digest:
            yield Text(f"  on rows {ci.test_data_digest}", no_wrap=True, overflow="ignore")
        if ci.metrics:
            yield plain_table(
                ["METRIC", "VALUE"], [[name, f"{value:g}"] for name, value in sorted(ci.metrics.items())]
            )

    def _conditions(self) -> Iterator[RenderableType]:
        rows = [
            [one.type, one.status, age(one.last_transition_time, self._now), one.reason]
            for one in self._status.conditions
        ]
        if rows:
            yield heading("Conditions")
            yield plain_table(["CONDITION", "STATUS", "SINCE", "REASON"], rows)
        for one in self._status.conditions:
            if _is_untold(one, self._status.message):
                yield Text(f"{one.type}: {one.message}", "yellow")

    def _history(self) -> Iterator[RenderableType]:
        rows: list[list[str | Text]] = [
            [
                entry.revision,
                Text(entry.outcome, phase_style(entry.outcome)),
                f"{age(entry.finished_at, self._now)} ago",
                short(entry.finished_at - entry.started_at),
                entry.reason,
                entry.model_uri,
                _people(entry),
            ]
            for entry in self._status.history[:_HISTORY]
        ]
        if rows:
            yield heading("History")
            columns = ["REVISION", "OUTCOME", "ENDED", "TOOK", "REASON", "MODEL", "BY"]
            named = any(row[-1] for row in rows)
            yield plain_table(
                columns if named else columns[:-1], rows if named else [row[:-1] for row in rows]
            )

    def _recent_events(self) -> Iterator[RenderableType]:
        rows: list[list[str | Text]] = [
            [
                age_of(event_time(event), self._now),
                Text(event.get("reason") or "", "red" if event.get("type") == "Warning" else ""),
                event.get("message") or "",
            ]
            for event in self._events[-_EVENTS:]
        ]
        if rows:
            yield heading("Events")
            yield plain_table(["AGE", "REASON", "MESSAGE"], rows)


def _unseen(deployment: Deployment, now: datetime) -> str:
    """Say that the operator has yet to look at the spec, and what may be wrong where it takes long."""
    created = deployment.created_at
    if deployment.status.observed_generation > 0 or created is None or now - created < _SOON:
        return "The spec is newer than this status: the operator has not seen it yet."
    return (
        f"No operator has looked at it for {age(created, now)}: does one run, and is namespace "
        f"{deployment.namespace} one of its own (MOORING_NAMESPACES)?"
    )


def describe_runtime(runtime: PinnedRuntime) -> str:
    """Name a pinned runtime, and the image of its first container without the registry: that is what is edited most."""
    containers = runtime.spec.get("containers")
    first = containers[0] if isinstance(containers, list) and containers else {}
    image = first.get("image") if isinstance(first, dict) else None
    return f"{runtime.name} ({image.rpartition('/')[2]})" if isinstance(image, str) else runtime.name


def _is_untold(condition: Condition, said: str) -> bool:
    """Whether a condition says what a person should know and the status above it does not."""
    if condition.type in ("Ready", "Reconciling", "Stalled", RECONCILED) or condition.message in said:
        return False
    return condition.status != "True" or condition.reason == reasons.ROUTER_IMPRECISE


def _traffic(candidate: Candidate) -> str:
    """What a candidate gets, and what it should get where that is something else."""
    asked = f"{candidate.weight}%"
    if candidate.runs and candidate.routed not in (None, candidate.weight):
        return f"{candidate.routed}% of {asked}"
    return f"{asked}, copies of {candidate.mirror}%" if candidate.mirror else asked


def _taken(candidate: Candidate, strategy: str) -> int:
    """What the stable revision does not get: what the candidate was seen to have; all, where it has stopped."""
    stopped = strategy == "Recreate" and candidate.weight == 100
    return candidate.weight if stopped or not candidate.runs or candidate.routed is None else candidate.routed


def _seen(variant: Retained) -> int:
    """What a variant was seen to get; what it should, where that is not known."""
    return variant.weight if variant.routed is None else variant.routed


def _role(known: Retained) -> str:
    """Name what a revision beside the stable one and the candidate is there for."""
    if known.variant:
        return f"variant {known.variant}"
    return "leaving" if known.pods or known.rejected else "kept"


def _variants_traffic(known: Retained) -> str:
    if not known.variant:
        return ""
    asked = f"{known.weight}%"
    return asked if known.routed == known.weight else f"{known.routed or 0}% of {asked}"


def _found_at(candidate: Candidate, step: int) -> str:
    """What the check of a step has found, or what runs it."""
    check = candidate.check
    if check is None or check.step != step:
        return ""
    if check.outcome is None:
        return f": job/{check_jobs.name_of(check.id)}"
    return f": {IN_WORDS[check.outcome]}{because(check.message)}"


def _people(rollout: Candidate | HistoryEntry) -> str:
    """Who asked for a revision and who approved it, where that was noted."""
    approved_by = rollout.approved_by if isinstance(rollout, HistoryEntry) else ", ".join(rollout.approved_by)
    asked = [f"asked for by {rollout.requested_by}"] if rollout.requested_by else []
    return "; ".join([*asked, *([f"approved by {approved_by}"] if approved_by else [])])
