"""``mooring drift replay``: when a DriftMonitor would have alarmed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output, times
from mooring_operator.cli.commands.drift_files import load_components, progress, unusable
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, OK, UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_operator.api import DriftMonitorSpec
    from mooring_operator.cli.drift_replay import Judged
    from mooring_operator.planning.drift.evaluations import Findings, NoFindings

# The hours of each are listed.
_MOST_WINDOWS = 10_000

_HELP = paragraphs(
    """
    Play a DriftMonitor over files of the past, without a cluster, and show when it would have alarmed.

    Each file is a window, in the order given; those of a folder by name. --rows cuts the rows of all files into windows
    of so many, --by and --every by the time in a column. Files are Parquet, CSV, Arrow or JSON lines. With --captured
    the windows are of what a revision kept of its requests, of the length that --every says. The monitor's
    own baseline, window and target are not looked at: the operator's planner decides, and asks nobody to roll back.

    Exit codes: 0 no alarm; 1 alarms; 2 cannot tell, or wrong usage.
    """,
    "mooring drift replay monitor.yaml --baseline train.parquet --window october/",
    "mooring drift replay monitor.yaml --baseline train.parquet --window october.parquet --by time --every 1h",
    "mooring drift replay monitor.yaml --baseline train.csv --window october.csv --rows 1000 -o json",
    "mooring drift replay monitor.yaml --baseline train.csv --captured s3://kept/deployment=iris/revision=1ac6bb2394 "
    "--since 2026-10-01 --every 1h",
)


def register(group: typer.Typer) -> None:
    """Add the command to `group`."""
    group.command("replay", help=_HELP)(replay)


def replay(
    monitor: Annotated[str, typer.Argument(metavar="MANIFEST", help="With the DriftMonitor; - for stdin.")],
    baseline: Annotated[Path, typer.Option(help="What rows should look like.")],
    window: Annotated[
        list[Path] | None,
        typer.Option(help="File or folder of later rows. May be repeated.", show_default=False),
    ] = None,
    captured: Annotated[
        str | None,
        typer.Option(metavar="URI", help="In place of it: a folder in which a revision kept its requests."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="First time of --captured, like 2026-10-01T12:00:00Z.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="End of --captured; now.", show_default=False)
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a window.")] = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column with each row's time.")] = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Length of a window, like 5m, 1h or 24h.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The DriftMonitor, where there are several.")] = None,
    form: Output = output.Format.TEXT,
) -> None:
    """Play a monitor over windows."""
    spec = _monitor(monitor, name)
    with unusable(), progress("windows") as tell:
        if captured is None:
            _refuse("only --captured has one", {"--since": since, "--until": until})
            windows = _cut(window, rows, by, every)
        else:
            _refuse("what was kept is cut by --every alone", {"--window": window, "--rows": rows, "--by": by})
            windows = _kept(captured, since, until, every)
        judged = list(_judge(spec, baseline, windows, tell))
    _write(judged, form)
    raise typer.Exit(_exit_code(judged))


def _monitor(file: str, name: str | None) -> "DriftMonitorSpec":
    from mooring_operator.api import DriftMonitorSpec
    from mooring_operator.cli.commands.validate import valid_objects

    objects = valid_objects([file], to="replay")
    found = [one for one in objects if one.get("kind") == "DriftMonitor"]
    if name is not None:
        found = [one for one in found if one["metadata"]["name"] == name]
    if len(found) != 1:
        several = ", ".join(str(one["metadata"]["name"]) for one in found)
        which = "" if name is None else f" {name}"
        raise CliError(
            f"{file} has several DriftMonitors: {several}" if found else f"{file} has no DriftMonitor{which}",
            hint="name one by --name" if found else "",
        )
    return DriftMonitorSpec.model_validate(found[0]["spec"])


def _refuse(why: str, options: dict[str, Any]) -> None:
    for option, given in options.items():
        if given is not None:
            raise typer.BadParameter(why, param_hint=option)


def _cut(paths: list[Path] | None, rows: int | None, by: str | None, every: str | None) -> Any:
    if paths is None:
        raise typer.BadParameter("give --window or --captured", param_hint="--window")
    windows = load_components("windows")
    files = windows.find_files(paths)
    if rows is not None and (by, every) != (None, None):
        raise typer.BadParameter(
            "rows are cut by number or by --by and --every, not by both", param_hint="--rows"
        )
    if (by is None) != (every is None):
        raise typer.BadParameter(
            "--by COLUMN and --every TIME go together", param_hint="--every" if by else "--by"
        )
    if rows is not None:
        return windows.cut_by_rows(files, rows)
    if by is not None and every is not None:
        return windows.cut_by_time(files, by, _length(every))
    return windows.one_each(files)


def _kept(uri: str, since: str | None, until: str | None, every: str | None) -> Any:
    from mooring_artifacts.drift_question import LONGEST

    if since is None or every is None:
        raise typer.BadParameter("it goes with --since WHEN and --every TIME", param_hint="--captured")
    begin, end = _moment(since, "--since"), datetime.now(UTC) if until is None else _moment(until, "--until")
    if end <= begin:
        raise typer.BadParameter(f"{until or 'now'} is not after --since {since}", param_hint="--until")
    length = _length(every)
    if length > LONGEST or (end - begin) // length > _MOST_WINDOWS:
        raise typer.BadParameter(
            f"{every!r}: write a time up to {LONGEST.days * 24}h that gives at most {_MOST_WINDOWS} windows",
            param_hint="--every",
        )
    return load_components("captured").past_windows(uri, begin, end, length, "--captured")


def _moment(text: str, option: str) -> datetime:
    moment = times.parse(text)
    if moment is None:
        raise typer.BadParameter(
            f"{text!r} is no time: write one like 2026-10-01T12:00:00Z", param_hint=option
        )
    return moment.astimezone(UTC)


def _length(text: str) -> timedelta:
    from mooring_operator.api.types import parse_duration

    try:
        return parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--every") from error


def _judge(spec: "DriftMonitorSpec", baseline: Path, windows: Any, tell: Any) -> Iterator["Judged"]:
    from mooring_artifacts.drift_question import parse_question

    from mooring_operator.cli.drift_replay import replay as play
    from mooring_operator.reconcile.drift_runs import ask, read_result

    compared = load_components("replay").replay(baseline, windows, parse_question(ask(spec)))

    def found() -> Iterator[tuple[str, int, "Findings | NoFindings"]]:
        for window, document in compared:
            tell(window.name, None)
            yield window.name, window.rows, read_result(document)

    return play(spec, found())


def _write(judged: list["Judged"], form: output.Format) -> None:
    from mooring_operator.cli.drift_replay import ReplayView, summary

    if form is output.Format.TEXT:
        output.console().print(ReplayView(judged))
    else:
        output.dump({"message": summary(judged), "windows": [one.to_plain() for one in judged]}, form)


def _exit_code(judged: list["Judged"]) -> int:
    if any(one.begins for one in judged):
        return NO
    return OK if any(one.has_findings for one in judged) else UNUSABLE
