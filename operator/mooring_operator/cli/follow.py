"""Follows a ModelDeployment until somebody, or its rollout, ends it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mooring_operator.cli import output
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.errors import NO, CliError

if TYPE_CHECKING:
    from mooring_operator.cli.cluster import Cluster

_KIND = "ModelDeployment"


def follow(
    cluster: "Cluster", item: dict[str, Any], *, until: Callable[[Deployment], bool] | None
) -> Deployment:
    """Show every change of `item`: live in a terminal, else a line for each. Give the last one.

    Without `until` it goes on until it is interrupted.
    """
    console = output.console()
    shown = _live(cluster, item) if console.is_terminal else _lines(cluster, item)
    last = Deployment.parse(item)
    for last in shown:
        if until is not None and until(last):
            break
    shown.close()
    return last


def changes(cluster: "Cluster", item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the object as it is, and again whenever it changes.

    Raises:
        CliError: it was deleted.
    """
    yield item
    metadata = item["metadata"]
    for change in cluster.watch(_KIND, metadata["name"], metadata["resourceVersion"]):
        if change is None:
            raise CliError(f"{_KIND} {metadata['name']} was deleted", exit_code=NO)
        yield change


def _lines(cluster: "Cluster", item: dict[str, Any]) -> Any:
    before = ""
    for change in changes(cluster, item):
        deployment = Deployment.parse(change)
        line = one_line(deployment)
        if line != before:
            output.say(f"{datetime.now(UTC):%H:%M:%S}  {line}")
        before = line
        yield deployment


def one_line(deployment: Deployment) -> str:
    """Give a deployment's state in a line."""
    status = deployment.status
    weight = f" {status.candidate.weight}%" if status.candidate and status.candidate.weight else ""
    return f"{status.phase}{weight}: {status.message or 'the operator has not looked at it yet'}"


def _live(cluster: "Cluster", item: dict[str, Any]) -> Any:
    from rich.live import Live

    from mooring_operator.cli.status_view import StatusView

    name = item["metadata"]["name"]
    deployment = Deployment.parse(item)
    events = cluster.events(_KIND, name)

    def picture() -> StatusView:
        # Ages go on while nothing changes.
        return StatusView(deployment, events, datetime.now(UTC))

    with Live(get_renderable=picture, console=output.console(), refresh_per_second=1) as live:
        for change in changes(cluster, item):
            deployment = Deployment.parse(change)
            events = cluster.events(_KIND, name)
            live.refresh()
            yield deployment
