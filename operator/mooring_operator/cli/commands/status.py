"""``mooring status``: where a rollout, or a DriftMonitor, stands."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands import drift
from mooring_operator.cli.commands.options import Context, Namespace, Output, connect
from mooring_operator.cli.errors import NO, OK
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_operator.cli.cluster import Cluster

_HELP = paragraphs(
    """
    Show where a ModelDeployment stands: revisions, steps, tests, conditions, history, Events.

    With --watch the picture follows the rollout until Ctrl-C; with --exit it ends when the rollout does,
    with exit code 0 when the revision was promoted and 1 when it was rolled back or failed.
    """,
    "mooring status iris",
    "mooring status iris -n ml --watch",
    "mooring status iris --watch --exit     (in a CI job)",
    "mooring status iris -o json | jq .status.phase",
    "mooring status --drift iris-traffic",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the resource.")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("status", help=_HELP, rich_help_panel="Watch")(status)


def status(
    name: Name,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Follow it until Ctrl-C.")] = False,
    exit_: Annotated[
        bool, typer.Option("--exit", help="With --watch: end when the rollout ends; 1 if it failed.")
    ] = False,
    show_drift: Annotated[bool, typer.Option("--drift", help="NAME is a DriftMonitor.")] = False,
    form: Output = output.Format.TEXT,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show a ModelDeployment, once or as it changes."""
    if show_drift:
        drift.show(name, form, namespace, context)
        return
    if exit_ and not watch:
        raise typer.BadParameter("goes with --watch", param_hint="--exit")
    cluster = connect(context, namespace)
    item = cluster.get("ModelDeployment", name)
    if watch:
        try:
            raise typer.Exit(_watch(cluster, item, form, exit_))
        except KeyboardInterrupt:
            # That is how a watch ends.
            raise typer.Exit(OK) from None
    if form is not output.Format.TEXT:
        output.dump(item, form)
        return
    from mooring_operator.cli.deployment import Deployment
    from mooring_operator.cli.status_view import StatusView

    deployment, events = Deployment.parse(item), cluster.events("ModelDeployment", name)
    output.console().print(StatusView(deployment, events, datetime.now(UTC)))


def _watch(cluster: "Cluster", item: dict[str, Any], form: output.Format, exit_: bool) -> int:
    from mooring_operator.cli.deployment import Deployment
    from mooring_operator.cli.follow import changes, follow

    last = Deployment.parse(item)
    if form is output.Format.TEXT:
        last = follow(cluster, item, until=(lambda deployment: deployment.settled) if exit_ else None)
    else:
        for change in changes(cluster, item):
            output.dump(change, form)
            last = Deployment.parse(change)
            if exit_ and last.settled:
                break
    return OK if last.status.phase == "Promoted" else NO
