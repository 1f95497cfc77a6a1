"""``mooring analyse``: what the counters say about a canary."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Context, Namespace, Output, connect
from mooring_operator.cli.errors import NO, OK, UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_operator.cli.analysis import Asked

_HELP = paragraphs(
    """
    Judge a canary by the counters that Prometheus has, and say what the verdict rests on.

    FAIL: the candidate is beyond its limit; a candidate within it is called so with the probability of
    --false-rollback at most, however often one looks. PASS: it is within the limit. INSUFFICIENT: so few
    requests tell nothing yet. The limit of a rate is RATIO times the stable revision's, and POINTS percent
    more; that of latency is a quantile that is no more than so much slower.

    Exit codes: 0 PASS; 1 FAIL; 2 INSUFFICIENT, or Prometheus could not be read.
    """,
    "mooring analyse iris --prometheus http://localhost:9090",
    "mooring analyse iris --prometheus http://localhost:9090 --ratio 1 --points 0.5 --window 15m",
    "mooring analyse iris --prometheus http://localhost:9090 --metric latency --quantile 95",
    "mooring analyse iris --prometheus URL --candidate 1ac6bb2394 --stable 77f00acbd1   (no cluster needed)",
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("analyse", help=_HELP, rich_help_panel="Watch")(analyse)


def analyse(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the ModelDeployment.")],
    prometheus: Annotated[str, typer.Option(metavar="URL", help="Address of Prometheus.")],
    metric: Annotated[
        str, typer.Option(help="What is compared: errorRate, rejectedRate or latency.")
    ] = "errorRate",
    window: Annotated[str, typer.Option(metavar="TIME", help="How far back to look.")] = "30m",
    every: Annotated[int, typer.Option(metavar="SECONDS", min=1, max=3600, help="Time between looks.")] = 10,
    ratio: Annotated[float, typer.Option(help="Times the stable revision's rate that are allowed.")] = 1.2,
    points: Annotated[float, typer.Option(help="Percentage points more that are allowed.")] = 0.2,
    false_rollback: Annotated[
        float, typer.Option(metavar="PERCENT", help="How often a good candidate may be called bad.")
    ] = 1.0,
    quantile: Annotated[
        float, typer.Option(metavar="PERCENT", help="Of latency: which quantile; 99 is the p99.")
    ] = 99.0,
    slower: Annotated[
        float, typer.Option(metavar="PERCENT", help="Of latency: how much slower it may be.")
    ] = 20.0,
    candidate: Annotated[str | None, typer.Option(help="Revision on its way; the deployment's.")] = None,
    stable: Annotated[str | None, typer.Option(help="Revision to compare with; the deployment's.")] = None,
    selector: Annotated[
        str | None,
        typer.Option(metavar="MATCHERS", help='Of which series; namespace="NAMESPACE",model="NAME".'),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bearer token that Prometheus wants.")
    ] = None,
    form: Output = output.Format.TEXT,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Judge one canary once."""
    from mooring_operator.cli import analysis

    if candidate is None or stable is None:
        candidate, stable, namespace = _revisions(name, candidate, stable, namespace, context)
    asked: Asked = analysis.ask(
        metric=metric,
        revisions=(candidate, stable),
        matchers=analysis.matchers(name, namespace) if selector is None else selector,
        window=window,
        every=every,
        limit=(ratio, points),
        false_rollback=false_rollback,
        quantile=quantile,
        slower=slower,
        until=datetime.now(UTC),
    )
    found = analysis.answer(asked, prometheus, _token(token_file))
    if form is output.Format.TEXT:
        output.console().print(analysis.view(found))
    else:
        output.dump(found.document(), form)
    raise typer.Exit({"PASS": OK, "FAIL": NO}.get(found.verdict, UNUSABLE))


def _revisions(
    name: str, candidate: str | None, stable: str | None, namespace: str | None, context: str | None
) -> tuple[str, str, str]:
    """Give the two revisions of the deployment, and its namespace."""
    item: dict[str, Any] = connect(context, namespace).get("ModelDeployment", name)
    status = item.get("status", {})
    found = [
        given or (status.get(field) or {}).get("revision")
        for given, field in ((candidate, "candidate"), (stable, "stable"))
    ]
    if found[0] is None:
        raise CliError(
            f"{name} has no candidate: nothing is on its way",
            hint="--candidate and --stable name two revisions that counted something",
        )
    if found[1] is None:
        raise CliError(f"{name} has no stable revision to compare {found[0]} with")
    return found[0], found[1], item["metadata"]["namespace"]


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--token-file {file}: {error}") from None
