"""Options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

from mooring_operator.cli import output

if TYPE_CHECKING:
    from mooring_operator.cli.cluster import Cluster

_CLUSTER = "Cluster"

Namespace = Annotated[
    str | None,
    typer.Option(
        "-n", "--namespace", help="Namespace; the context's own when left out.", rich_help_panel=_CLUSTER
    ),
]
Context = Annotated[
    str | None,
    typer.Option(help="Context of the kubeconfig; the current one when left out.", rich_help_panel=_CLUSTER),
]
Output = Annotated[output.Format, typer.Option("-o", "--output", help="How to write it.")]


def connect(context: str | None, namespace: str | None) -> "Cluster":
    """Connect to the cluster that the options name."""
    from mooring_operator.cli import cluster

    return cluster.connect(context, namespace)
