"""``mooring list``: everything of Mooring in a namespace."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Context, Namespace, Output, connect
from mooring_operator.cli.help import paragraphs

_HELP = paragraphs(
    "List the ModelDeployments and DriftMonitors of a namespace, or of all.",
    "mooring list",
    "mooring list -A",
    "mooring list -o json | jq '.modelDeployments[].status.phase'",
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("list", help=_HELP, rich_help_panel="Watch")(list_all)


def list_all(
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Of every namespace.")
    ] = False,
    form: Output = output.Format.TEXT,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """List what there is."""
    cluster = connect(context, namespace)
    deployments = cluster.list_all("ModelDeployment", all_namespaces=all_namespaces)
    monitors = cluster.list_all("DriftMonitor", all_namespaces=all_namespaces)
    if form is not output.Format.TEXT:
        output.dump({"modelDeployments": deployments, "driftMonitors": monitors}, form)
        return
    where = "any namespace" if all_namespaces else f"namespace {cluster.namespace}; -A looks into all"
    if not deployments and not monitors:
        output.say(f"no ModelDeployment and no DriftMonitor in {where}")
    _print(
        deployments,
        ["MODELDEPLOYMENT", "PHASE", "STABLE", "CANDIDATE", "WEIGHT"],
        _deployment,
        all_namespaces,
    )
    if deployments and monitors:
        output.say("")
    _print(monitors, ["DRIFTMONITOR", "PHASE", "TARGET", "DRIFTED", "TESTED"], _monitor, all_namespaces)


def _print(items: list[dict[str, Any]], columns: list[str], row: Any, all_namespaces: bool) -> None:
    from mooring_operator.cli.tables import plain_table
    from mooring_operator.cli.times import age_of

    if not items:
        return
    now = datetime.now(UTC)
    rows = []
    for item in items:
        metadata, status = item["metadata"], item.get("status") or {}
        place = [metadata["namespace"]] if all_namespaces else []
        said = status.get("message", "") if status.get("phase") else "no operator has looked at it yet"
        tail = [age_of(metadata.get("creationTimestamp", ""), now), said]
        rows.append([*place, metadata["name"], *row(item, status), *tail])
    first = ["NAMESPACE"] if all_namespaces else []
    output.console().print(plain_table([*first, *columns, "AGE", "MESSAGE"], rows, indent=0))


def _deployment(item: dict[str, Any], status: dict[str, Any]) -> list[Any]:
    candidate = status.get("candidate") or {}
    weight = f"{candidate['weight']}%" if "weight" in candidate else ""
    stable = (status.get("stable") or {}).get("revision", "")
    return [_phase(status), stable, candidate.get("revision", ""), weight]


def _monitor(item: dict[str, Any], status: dict[str, Any]) -> list[Any]:
    found = status.get("evaluation") or {}
    counts = [str(found.get(key, "")) for key in ("featuresDrifted", "featuresTested")]
    return [_phase(status), (item["spec"].get("target") or {}).get("name", "-"), *counts]


def _phase(status: dict[str, Any]) -> Any:
    from rich.text import Text

    from mooring_operator.cli.styles import phase_style

    phase = status.get("phase") or "Pending"
    return Text(phase, phase_style(phase))
