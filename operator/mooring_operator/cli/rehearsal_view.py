"""Writes a rehearsal's timeline: a table for people, plain values for machines."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mooring_operator.api import reasons
from mooring_operator.cli.rollout_chart import Chart
from mooring_operator.cli.styles import phase_style

if TYPE_CHECKING:
    from mooring_operator.cli.rehearsal import Moment, Timeline

_RUN = re.compile(r"run [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNTIL = re.compile(r" until \d\d:\d\d:\d\d UTC")
_JUDGED_UNTIL = re.compile(r" until (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC( at most|$)")
_SO_FAR = re.compile(r": it has \d+% so far$")
_ENDS = {
    "Promoted": "ends promoted",
    "RolledBack": "ends rolled back",
    "Failed": "ends as failed",
    "Waiting": "waits",
}


def render(timeline: "Timeline") -> RenderableType:
    """Give the timeline as a table with a sentence about its end."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column("At", justify="right", no_wrap=True)
    table.add_column("Phase", no_wrap=True)
    table.add_column("New", justify="right", no_wrap=True)
    table.add_column("What happens", overflow="fold")
    for moment in timeline.moments:
        phase = Text(moment.phase, style=phase_style(moment.phase))
        gets = moment.sample.shares["new"].weight
        table.add_row(offset(moment.at), phase, f"{gets}%", Text(_sentence(moment, timeline)))
    length = timeline.moments[-1].at if timeline.moments else timedelta()
    end = Text.assemble(
        "It ", (_ENDS[timeline.end], phase_style(timeline.end)), f" at {offset(length)}", style="bold"
    )
    chart = Chart([moment.sample for moment in timeline.moments], offset)
    odds = [_odds(timeline), ""] if timeline.odds else []
    title = Text.assemble((timeline.title, "bold"), (f", by router {timeline.router}", "dim"))
    drawn: list[RenderableType] = [] if chart.is_empty else [chart, ""]
    pinning: list[RenderableType] = [Text(timeline.pinning, style="dim"), ""] if timeline.pinning else []
    return Group(title, "", table, "", *drawn, end, "", *pinning, *odds)


def _odds(timeline: "Timeline") -> RenderableType:
    """Say how probable each end is, and when it comes."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column("How it ends", no_wrap=True)
    for column in ("Probability", "After", "1 in 10 before", "1 in 10 later"):
        table.add_column(column, justify="right", no_wrap=True)
    for end in timeline.odds:
        early, middle, late = end.times
        times = (offset(time).removeprefix("+") for time in (middle, early, late))
        table.add_row(end.end, f"{end.share:.1%}", *times)
    title = f"{timeline.odds[0].of} rollouts whose requests fail by chance, from the first request on"
    return Group(Text(title, style="bold"), "", table)


def _sentence(moment: "Moment", timeline: "Timeline") -> str:
    """Give the planner's message with roles for hashes, which mean nothing before there is a cluster."""
    text = _RUN.sub("its CI run", moment.what)
    # The lines themselves show the time, and the simulated traffic follows at once.
    text = _SO_FAR.sub("", _UNTIL.sub(" for its pause", _JUDGED_UNTIL.sub("", text)))
    for revision, role in ((timeline.new, "the new revision"), (timeline.stable, "the stable revision")):
        if revision:
            text = text.replace(f"revision {revision}", role).replace(revision, role)
    person = moment.reason in reasons.AWAIT_A_PERSON
    return f"{text} (mooring approve)" if person else text


def offset(value: timedelta) -> str:
    """Write a time from the start: ``+0:02:30``, with days in front where there are any."""
    days, seconds = value.days, value.seconds
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"+{f'{days}d ' if days else ''}{hours}:{minutes:02}:{seconds:02}"


def to_plain(timeline: "Timeline") -> dict[str, Any]:
    """Give the timeline in JSON's types; times are seconds from the start."""
    return {
        "title": timeline.title,
        "end": timeline.end,
        "because": timeline.because,
        "revision": timeline.new,
        "router": timeline.router,
        "runtimePolicy": timeline.pinning,
        "odds": [
            {
                "end": end.end,
                "probability": end.share,
                "afterSeconds": dict(
                    zip(("p10", "p50", "p90"), (int(time.total_seconds()) for time in end.times), strict=True)
                ),
            }
            for end in timeline.odds
        ],
        "moments": [_moment_to_plain(moment) for moment in timeline.moments],
    }


def _moment_to_plain(moment: "Moment") -> dict[str, Any]:
    return {
        "atSeconds": int(moment.at.total_seconds()),
        "phase": moment.phase,
        "reason": moment.reason,
        "weight": moment.weight,
        "step": moment.step,
        "message": moment.what,
        "waitsFor": moment.waits_for,
        "arms": {
            arm: {"weight": share.weight, "pods": share.pods} for arm, share in moment.sample.shares.items()
        },
    }
