"""``mooring drift``: what a DriftMonitor has found, and whether two files differ."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mooring_operator.cli import output
from mooring_operator.cli.commands import drift_replay
from mooring_operator.cli.commands.drift_files import load_components, progress, unusable
from mooring_operator.cli.commands.options import Context, Namespace, Output, connect
from mooring_operator.cli.errors import NO, OK, UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_artifacts.drift_slices import DriftSlice
    from mooring_artifacts.feature_settings import FeatureSettings

_HELP = paragraphs(
    """
    Show what a DriftMonitor has found, feature by feature: mooring drift NAME, with -n, --context and -o json.

    mooring drift check compares two files, without a cluster; mooring drift replay plays a monitor over older ones.
    """,
    "mooring drift iris-traffic",
    "mooring drift iris-traffic -o yaml",
    "mooring drift check --baseline train.parquet --window today.parquet",
    "mooring drift replay monitor.yaml --baseline train.parquet --window october.parquet --by time --every 1h",
)
_SHOW_HELP = paragraphs(
    "Show what a DriftMonitor has found; the word show may be left out.",
    "mooring drift show iris-traffic",
    "mooring drift iris-traffic -o yaml",
)
_CHECK_HELP = paragraphs(
    """
    Compare two files as a DriftMonitor would: Parquet, CSV, Arrow or JSON lines, by the ends of their names.

    Exit codes: 0 no drift; 1 drift; 2 cannot tell, or wrong usage.
    """,
    "mooring drift check --baseline train.parquet --window today.parquet",
    "mooring drift check --baseline train.csv --window today.jsonl --category zip --report drift.html",
    "mooring drift check --baseline a.parquet --window b.parquet -o json | jq '.features[] | select(.drifted)'",
)

# What a monitor's fields are on the command line.
_OPTIONS = (
    ("spec.minRows", "--min-rows"),
    ("spec.featureSettings", "--setting"),
    ("spec.features", "--feature"),
    ("spec.slices", "--slice"),
)


class _ShowUnlessNamed(TyperGroup):
    """Takes `drift NAME` for `drift show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command before what names none."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(cls=_ShowUnlessNamed, help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
    group.command("show", help=_SHOW_HELP)(show)
    group.command("check", help=_CHECK_HELP)(check)
    drift_replay.register(group)
    app.add_typer(group, name="drift", rich_help_panel="Watch")


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the DriftMonitor.")],
    form: Output = output.Format.TEXT,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show a DriftMonitor."""
    item = connect(context, namespace).get("DriftMonitor", name)
    if form is not output.Format.TEXT:
        output.dump(item, form)
        return
    from mooring_operator.cli.drift_view import DriftView

    output.console().print(DriftView(item, datetime.now(UTC)))


def check(
    baseline: Annotated[Path, typer.Option(help="What rows should look like.")],
    window: Annotated[Path, typer.Option(help="What they look like now.")],
    feature: Annotated[
        list[str] | None, typer.Option(help="Column to compare; all when left out. May be repeated.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Column whose numbers are codes of categories. May be repeated."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MATCH=VALUE",
            help="Type of columns, like 'zip*=Category' or 'debug*=Ignored', or the distance from which they matter, "
            "like 'age=0.1'. May be repeated; the first that fits counts.",
        ),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN=VALUE[,VALUE]",
            help="Compare the rows with these values by themselves, too, like 'country=DE,AT'. May be repeated.",
        ),
    ] = None,
    min_rows: Annotated[
        int, typer.Option(min=1, help="Rows below which a file, or a slice, says nothing.")
    ] = 100,
    alpha: Annotated[
        float | None,
        typer.Option(
            min=1e-9,
            max=0.5,
            help="False discovery rate, .01; with --plain the p-value of each feature, .05.",
            show_default=False,
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Judge each feature by itself: p < .05, or an index of .2. Often wrong."
        ),
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page there.")] = None,
    form: Output = output.Format.TEXT,
) -> None:
    """Compare two files."""
    comparing = load_components("check")
    with unusable(_OPTIONS), progress("comparing") as tell:
        found = comparing.check_files(
            baseline,
            window,
            features=feature or (),
            settings=_settings(setting or (), category or ()),
            slices=_slices(part or ()),
            min_rows=min_rows,
            alpha=alpha,
            plain=plain,
            tell=tell,
        )
    if report is not None:
        _write(report, found.page())
    if form is output.Format.TEXT:
        output.say(found.sentence())
    else:
        output.dump(found.document(), form)
    raise typer.Exit(_exit_code(found.verdict))


def _settings(given: Sequence[str], categories: Sequence[str]) -> "FeatureSettings":
    from mooring_artifacts.errors import InputError  # here: --help needs no pydantic
    from mooring_artifacts.feature_settings import FeatureSettings, parse_setting

    try:
        return FeatureSettings(map(parse_setting, given), categories)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--setting") from error


def _slices(given: Sequence[str]) -> "list[DriftSlice]":
    from mooring_artifacts.drift_slices import parse_slices  # here: --help needs no pydantic
    from mooring_artifacts.errors import InputError

    try:
        return parse_slices(given)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--slice") from error


def _exit_code(verdict: str) -> int:
    from mooring_operator.api import reasons  # here: --help loads no API types

    return {reasons.NO_DRIFT: OK, "Drift": NO, "Unknown": UNUSABLE}[verdict]


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CliError(f"--report {str(path)!r} cannot be written: {error.strerror}") from error
