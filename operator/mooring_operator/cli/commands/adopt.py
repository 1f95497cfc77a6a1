"""``mooring adopt``: the ModelDeployment for what serves a model already."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Context, Namespace, connect
from mooring_operator.cli.errors import NO, CliError, RefusedError
from mooring_operator.cli.files import Manifest, read_manifests
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_operator.cli.adoption.adopted import AdoptedDeployment

Object = dict[str, Any]
Finder = Callable[[str, str], Object | None]
"""Gives the object of a kind and a name, where it can be read."""

_HELP = paragraphs(
    """
    Write the ModelDeployment for something that serves a model already: an InferenceService of KServe's (isvc/NAME),
    a Rollout of Argo's (rollout/NAME) or a Canary of Flagger's (canary/NAME), from the cluster or from files.

    What a ModelDeployment cannot say is listed, in comments and on stderr, and the exit code is 1. Rollouts,
    Canaries and containers of one's own do not say which model they serve: --uri and --format do. Nothing is
    changed in the cluster.
    """,
    "mooring adopt isvc/iris > iris.yaml",
    "mooring adopt rollout/iris --uri s3://models/iris/2 --format onnx",
    "mooring adopt -f isvc.yaml",
)
_KINDS = {
    "isvc": "InferenceService",
    "inferenceservice": "InferenceService",
    "rollout": "Rollout",
    "canary": "Canary",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("adopt", help=_HELP, rich_help_panel="Set up")(adopt)


def adopt(
    what: Annotated[
        str | None, typer.Argument(metavar="KIND/NAME", help="isvc/NAME, rollout/NAME or canary/NAME.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("-f", "--filename", help="Manifests, folders, or - for stdin.")
    ] = None,
    uri: Annotated[str, typer.Option(help="The model's address, where the object does not say it.")] = "",
    model_format: Annotated[
        str, typer.Option("--format", help="The model's format: onnx, sklearn, ...")
    ] = "",
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Write one ModelDeployment for each object."""
    if (what is None) == (not files):
        raise typer.BadParameter("name one object of the cluster, KIND/NAME, or files with -f")
    if files:
        items, find = _from_files(files)
    else:
        cluster = connect(context, namespace)
        items, find = [_from_cluster(what or "", cluster)], _finder(cluster)
    adopted = [_adopt(item, uri, model_format, find) for item in items]
    whole = [_write(one) for one in adopted]
    if not all(whole):
        raise typer.Exit(NO)


def _from_cluster(what: str, cluster: Any) -> Object:
    kind, _, name = what.partition("/")
    if kind.lower() not in _KINDS or not name:
        raise typer.BadParameter(
            f"{what!r}: write isvc/NAME, rollout/NAME or canary/NAME", param_hint="KIND/NAME"
        )
    item: Object = cluster.get(_KINDS[kind.lower()], name)
    return item


def _finder(cluster: Any) -> Finder:
    def find(kind: str, name: str) -> Object | None:
        try:
            found: Object = cluster.get(kind, name)
        except CliError:
            # What cannot be read is told as not carried over.
            return None
        return found

    return find


def _from_files(files: list[str]) -> tuple[list[Object], Finder]:
    from mooring_operator.cli.validation.source import SourceError, read_objects

    objects: list[Object] = []
    for manifest in read_manifests(files):
        try:
            values = [document.value for document in read_objects(manifest.text)]
        except SourceError as error:
            raise CliError(f"{manifest.label}: {error}") from None
        objects += [value for value in values if isinstance(value, dict)]
    found = [value for value in objects if value.get("kind") in _KINDS.values()]
    if not found:
        raise CliError("no InferenceService, Rollout or Canary in these files")
    for value in found:
        if not _name_of(value):
            raise CliError(f"a {value['kind']} in these files has no metadata.name")
        namespace = value["metadata"].get("namespace")
        if not isinstance(namespace, str | None):
            raise CliError(
                f"{value['kind']} {_name_of(value)}: metadata.namespace: {namespace!r:.80} is not a text"
            )
    by_name = {(str(value.get("kind")), name): value for value in objects if (name := _name_of(value))}
    return found, lambda kind, name: by_name.get((kind, name))


def _name_of(value: Object) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _adopt(item: Object, uri: str, model_format: str, find: Finder) -> "AdoptedDeployment":
    from mooring_operator.cli.adoption.inference_services import adopt_inference_service

    kind, name = item["kind"], item["metadata"]["name"]
    if kind != "InferenceService":
        return _adopt_other(item, uri, model_format, find)
    try:
        return adopt_inference_service(item, uri, model_format)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Nobody has checked a file against the definitions of others.
        raise CliError(
            f"{kind} {name}: a field has another type than the definition of {kind} says",
            hint="kubectl apply --dry-run=server names it",
        ) from error


def _adopt_other(item: Object, uri: str, model_format: str, find: Finder) -> "AdoptedDeployment":
    from mooring_operator.cli.adoption.argo import adopt_rollout
    from mooring_operator.cli.adoption.flagger import adopt_canary
    from mooring_operator.cli.adoption.pods import target_of, uri_in

    kind, name = item["kind"], item["metadata"]["name"]
    try:
        target = target_of(item, find)
        found = uri or uri_in(item) or uri_in(target or {})
        if not found or not model_format:
            missing = " and ".join(
                option for option, value in (("--uri", found), ("--format", model_format)) if not value
            )
            raise RefusedError(f"it does not say which model it serves: say it by {missing}")
        model = {"uri": found, "format": model_format}
        adopt_it = adopt_rollout if kind == "Rollout" else adopt_canary
        return adopt_it(item, model, target)
    except CliError as error:
        raise CliError(f"{kind} {name}: {error.message}", exit_code=error.exit_code) from None


def _write(adopted: "AdoptedDeployment") -> bool:
    """Write the manifest, and say what it lacks; give whether it lacks nothing."""
    from mooring_artifacts.text import visible

    from mooring_operator.cli.adoption.writing import to_yaml
    from mooring_operator.cli.commands.validate import check_manifest, describe

    text = to_yaml(adopted.manifest)
    findings = check_manifest(Manifest(adopted.name, text))
    problems = [describe(adopted.name, problem) for finding in findings for problem in finding["problems"]]
    lines = [visible(line) for line in (*adopted.left_out, *problems)]
    comments = "".join(f"#   {line}\n" for line in lines)
    head = f"# Not carried over:\n{comments}" if lines else ""
    typer.echo(f"---\n{head}{text}", nl=False)
    for line in lines:
        output.say(f"{adopted.name}: not carried over: {line}", stderr=True)
    return not lines
