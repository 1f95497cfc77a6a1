"""``mooring approve`` and the other commands that steer a rollout."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Context, Namespace, connect
from mooring_operator.cli.errors import NO
from mooring_operator.cli.help import paragraphs

_HELP = {
    "approve": paragraphs(
        "Let a rollout go on that waits for a person.",
        "mooring approve iris",
        "mooring approve iris -m 'error rates are equal' --wait",
    ),
    "promote": paragraphs(
        """Skip the steps that are left: the revision on its way takes over as soon as it is ready.
        Its tests and policies are not skipped. ARM decides an A/B test for another one: Stable, a variant's name, or
        a revision.""",
        "mooring promote iris -m 'hotfix'",
        "mooring promote iris b -m 'best conversion'",
    ),
    "abort": paragraphs(
        """End the rollout on its way: the stable revision has all traffic again. The revision is not
        tried again until the spec changes, or by mooring retry.""",
        "mooring abort iris -m 'latency doubled'",
    ),
    "retry": paragraphs(
        "Try the revision again that was rejected: tests, then steps.", "mooring retry iris --wait"
    ),
    "pause": paragraphs(
        "Hold a rollout between two steps, until mooring resume.", "mooring pause iris -m 'incident 42'"
    ),
    "resume": paragraphs("Let a rollout go on that mooring pause holds.", "mooring resume iris"),
    "rollback": paragraphs(
        """Bring back the revision that was promoted before the stable one, without tests and steps.
        The spec stays as it is; what it asks for is not tried again until it changes.""",
        "mooring rollback iris -m 'complaints from support'",
    ),
}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for request, text in _HELP.items():
        command = _command(request) if request != "promote" else _promote()
        app.command(request, help=text, rich_help_panel="Steer")(command)


_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the ModelDeployment.")]
_Arm = Annotated[
    str, typer.Argument(metavar="[ARM]", help="Who wins an A/B test: New, Stable, a variant, or a revision.")
]
_Why = Annotated[str, typer.Option("-m", "--message", help="Why; kept in Events and history.")]
_Wait = Annotated[bool, typer.Option("--wait", help="Follow it to the end; exit code 1 if it fails.")]


def _promote() -> Callable[..., None]:
    def command(
        name: _Name,
        arm: _Arm = "New",
        message: _Why = "",
        wait: _Wait = False,
        namespace: Namespace = None,
        context: Context = None,
    ) -> None:
        _ask("promote", name, message, wait, connect(context, namespace), arm)

    command.__name__ = "promote"
    command.__doc__ = _HELP["promote"]
    return command


def _command(request: str) -> Callable[..., None]:
    def command(
        name: _Name,
        message: _Why = "",
        wait: _Wait = False,
        namespace: Namespace = None,
        context: Context = None,
    ) -> None:
        _ask(request, name, message, wait, connect(context, namespace))

    command.__name__ = request
    command.__doc__ = _HELP[request]
    return command


def _ask(request: str, name: str, message: str, wait: bool, cluster: Any, arm: str = "New") -> None:
    from mooring_operator.cli.deployment import Deployment
    from mooring_operator.cli.requests import REQUESTS, promote_another

    deployment = Deployment.parse(cluster.get("ModelDeployment", name))
    asked = promote_another(deployment, arm) if arm != "New" else REQUESTS[request](deployment)
    annotations = asked.annotations(message, cluster.user())
    changed = cluster.annotate("ModelDeployment", name, annotations, role=asked.role)
    output.say(f"{request} {name}: asked; {asked.then}", style="green")
    if wait:
        _wait(request, changed, cluster, asked.wins)


def _wait(request: str, item: dict[str, Any], cluster: Any, wins: str) -> None:
    from mooring_operator.cli.follow import follow
    from mooring_operator.cli.requests import reached, succeeded

    last = follow(cluster, item, until=lambda deployment: reached(request, deployment))
    if not succeeded(request, last, wins):
        raise typer.Exit(NO)
