"""``mooring crds``, ``version``, ``pipelines`` and ``demo``: what needs no cluster, or brings its own."""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import CliError, needing
from mooring_operator.cli.help import paragraphs

_CRDS_HELP = paragraphs(
    "Print the CustomResourceDefinitions.", "mooring crds | kubectl apply --server-side -f -"
)
_VERSION_HELP = paragraphs(
    "Print the version, and the API version that it speaks.", "mooring version -o json"
)
_PIPELINES_HELP = "Run pipelines on this machine, for laptops and tests; print them for Kubeflow Pipelines."
_SERVE_HELP = paragraphs(
    """
    Serve pipelines on this machine: it takes the runs that the operator launches and executes their steps.

    It is for laptops and tests, and runs everybody's pipelines as one user; on clusters runs are Jobs, or runs
    of Kubeflow Pipelines. Whoever reaches its port can run programs here: keep it on the loopback interface.
    """,
    "mooring pipelines serve",
    "mooring pipelines serve --port 8889 --data runs --concurrency 4",
)
_SHOW_HELP = paragraphs(
    """
    Print a compiled pipeline, whose steps run in an image of yours: to upload it, and start it in the KFP UI.

    batch-score is meant for that; the others are uploaded by the operator, when it first needs them.
    """,
    "mooring pipelines show batch-score --image registry.example.com/mooring/components:0.1.0 > batch-score.yaml",
)
_DEMO_HELP = paragraphs(
    """
    Show a whole rollout on this machine, with a control plane and models of its own.

    It runs from a checkout of Mooring. Options go to the demo: mooring demo -- --help.
    """,
    "mooring demo",
)
_DATA = Path("local_outputs/pipelines")
_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("crds", help=_CRDS_HELP, rich_help_panel="Set up")(crds)
    app.command("version", help=_VERSION_HELP, rich_help_panel="Set up")(version)
    app.command("demo", help=_DEMO_HELP, rich_help_panel="Set up", context_settings=_ANY_ARGUMENTS)(demo)
    pipelines = typer.Typer(help=_PIPELINES_HELP, no_args_is_help=True, rich_markup_mode="rich")
    pipelines.callback()(lambda: None)
    pipelines.command("serve", help=_SERVE_HELP)(serve)
    pipelines.command("show", help=_SHOW_HELP)(show)
    app.add_typer(pipelines, name="pipelines", rich_help_panel="Set up")


def crds(form: Output = output.Format.YAML) -> None:
    """Print the CRDs as one stream of YAML documents, or as a JSON List."""
    from mooring_operator.api import crds as definitions

    if form is output.Format.JSON:
        items = [definitions.custom_resource_definition(resource) for resource in definitions.RESOURCES]
        output.dump({"apiVersion": "v1", "kind": "List", "items": items}, form)
        return
    sys.stdout.write("---\n".join(definitions.render(resource) for resource in definitions.RESOURCES))


def version(form: Output = output.Format.TEXT) -> None:
    """Print the version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        number = installed("kube-mooring")
    except PackageNotFoundError:
        number = "0+unknown"
    api = "mooring.dev/v1alpha1"
    if form is output.Format.TEXT:
        output.say(f"mooring {number} ({api})")
    else:
        output.dump({"version": number, "apiVersion": api}, form)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8888,
    data: Annotated[Path, typer.Option(help="Folder that runs and artifacts are kept in.")] = _DATA,
    concurrency: Annotated[int, typer.Option(min=1, help="Runs at the same time.")] = 2,
    keep: Annotated[int, typer.Option(min=1, help="Finished runs that are kept.")] = 200,
) -> None:
    """Serve pipelines until interrupted."""
    with needing("extras pipelines and components", "serving pipelines"):
        server = importlib.import_module("mooring_pipelines.server")
        server.serve(host, port, data, concurrency=concurrency, keep=keep)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="batch-score, model-ci, ...")],
    image: Annotated[str, typer.Option(help="Image of Mooring's components that the steps run in.")],
) -> None:
    """Print one compiled pipeline."""
    from importlib.resources import files

    from mooring_operator.api import forms
    from mooring_operator.planning.manifests.containers import with_image

    folder = files("mooring_pipelines") / "compiled"
    shipped = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir())
    if name not in shipped:
        raise CliError(f"pipeline {name!r} is not one of {', '.join(shipped)}")
    if not forms.IMAGE.fits(image):
        raise CliError(f"--image {image!r} is not {forms.IMAGE.allowed}")
    sys.stdout.write(with_image((folder / f"{name}.yaml").read_text(), image))


def demo(context: typer.Context) -> None:
    """Run the demo with the same arguments."""
    try:
        found = importlib.util.find_spec("cluster.demo")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise CliError(
            "the demo runs from a checkout of Mooring: it is not part of the installed package",
            hint="in a checkout: make demo",
        )
    import runpy

    sys.argv = ["mooring demo", *context.args]
    runpy.run_module("cluster.demo", run_name="__main__", alter_sys=False)
