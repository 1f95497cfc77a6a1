"""``mooring ci``: the test of a ModelDeployment on this machine, and pipelines that stand for ours."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands import convert, signing
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, OK, UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_operator.api import ModelDeploymentSpec
    from mooring_operator.api.demands import DemandsOnFiles
    from mooring_operator.cli.ci_run import Told

# Sources of components stand in it.
_LARGEST_PIPELINE = 4 << 20

_HELP = "Test models as the operator has them tested, on this machine."
_RUN_HELP = paragraphs(
    """
    Test the model of a ModelDeployment here, without a cluster: the pipeline that the operator launches.

    Addresses are those of the manifest, or those given: s3://, gs://, az://, file:// or a path. Stores are asked
    with this shell's credentials. Policies are judged by the operator alone; what those in FILE demand of
    signatures and documents is looked up and shown.

    Exit codes: 0 passed; 1 a gate does not hold, or the rows are not what their schema says; 2 no verdict.
    """,
    "mooring ci run iris.yaml --report iris.html",
    "mooring ci run iris.yaml --model ./model --test-data test.parquet",
    "mooring ci run iris.yaml --model ./model --endpoint http://localhost:8080/v2/models/iris",
    "mooring ci run iris.yaml --model ./new --champion s3://models/iris/7/",
    "mooring ci run iris.yaml --model ./model -o json | jq .metrics.accuracy",
)

_CHECK_HELP = paragraphs(
    """
    Say whether a compiled pipeline of yours can stand for model-ci, as spec.ci.pipeline, without a cluster.

    It takes parameters that Mooring gives, and at least model_uri, verdict_uri and run_id; what else it takes has
    defaults. With --deployment, also what the gates of a ModelDeployment need of it.

    Exit codes: 0 it can; 1 it cannot, with a line for each reason; 2 the file cannot be read.
    """,
    "mooring ci check my-ci.yaml",
    "mooring ci check my-ci.yaml --deployment iris.yaml",
    "mooring ci check my-training.yaml --trains",
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
    group.callback()(lambda: None)
    group.command("run", help=_RUN_HELP)(run)
    group.command("check", help=_CHECK_HELP)(check)
    group.command("convert", help=convert.HELP)(convert.convert)
    group.command("sign", help=signing.SIGN_HELP)(signing.sign)
    group.command("verify", help=signing.VERIFY_HELP)(signing.verify)
    app.add_typer(group, name="ci", rich_help_panel="Before a cluster")


def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="With the ModelDeployment; - for stdin.")],
    model: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Test this model instead of spec.model.uri.")
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Test on these rows instead of spec.ci.testData.uri."),
    ] = None,
    champion: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The model that serves now, for gates with notWorseThan."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Test what answers here: http(s)://HOST/v2/models/NAME, or v1. MOORING_ENDPOINT_TOKEN is its token.",
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="COLUMN",
            help="Also measure by this column's values. May be repeated, up to 4 times.",
        ),
    ] = None,
    explain: Annotated[
        int,
        typer.Option(metavar="ROWS", min=0, max=64, help="Rank features by so many rows, in the report."),
    ] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with pictures here.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The ModelDeployment, where there are several.")] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also show what steps print.")] = False,
    form: Output = output.Format.TEXT,
) -> None:
    """Test one model."""
    from mooring_artifacts.run_documents import Verdict

    from mooring_operator.cli import ci_run
    from mooring_operator.cli.ci_view import FailureView, VerdictView

    objects = _read(file)
    called, spec = _deployment(objects, file, name)
    asked = ci_run.ask(spec, model, test_data, champion, slices or (), endpoint, explain)
    if demands := _demands(objects, spec):
        asked.parameters["demands"] = demands
    with TemporaryDirectory(prefix="mooring-ci-") as folder, _Progress() as tell:
        document = ci_run.test(asked, Path(folder), report, tell, sys.stderr.write if verbose else None)
    if form is not output.Format.TEXT:
        output.dump(document.model_dump(mode="json", by_alias=True), form)
    elif isinstance(document, Verdict):
        rows = str(asked.parameters["test_data_uri"])
        output.console().print(VerdictView(called, document, asked.gates, champion is not None, rows))
    else:
        output.console().print(FailureView(called, document))
    if report is not None:
        output.say(f"report: {report}" if os.path.exists(report) else f"{report} is not written", stderr=True)
    if spec.ci is not None and spec.ci.pipeline is not None:
        output.say("spec.ci.pipeline runs in Kubeflow Pipelines alone; model-ci tested here", stderr=True)
    if spec.policies:
        output.say("spec.policies are judged by the operator, not here", stderr=True)
    raise typer.Exit(_exit_code(document.passed if isinstance(document, Verdict) else document.error.reason))


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The compiled pipeline (YAML or JSON).")],
    deployment: Annotated[
        str | None, typer.Option(metavar="FILE", help="A ModelDeployment whose gates it is to serve.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The ModelDeployment, where there are several.")] = None,
    trains: Annotated[
        bool, typer.Option("--trains", help="It trains for spec.retrain of a DriftMonitor.")
    ] = False,
) -> None:
    """Compare one pipeline with the contract."""
    from mooring_operator.planning.runs import pipeline_contract

    if trains and deployment is not None:
        raise CliError("--deployment is for pipelines that test", hint="leave it out with --trains")
    spec = _pipeline(file)
    ci = _deployment(_read(deployment), deployment, name)[1].ci if deployment is not None else None
    contract = pipeline_contract.CONTRACTS["Training" if trains else "Test"]
    broken = pipeline_contract.violations(spec, contract, ci.needs if ci is not None else ())
    for line in broken:
        output.say(f"{file}: {line}", style="red")
    if broken:
        raise typer.Exit(NO)
    given = ", ".join(pipeline_contract.taken(spec, dict(contract.parameters)))
    output.say(f"{file} fulfils the contract; it is given {given}", style="green")


def _pipeline(file: str) -> dict[str, object]:
    from mooring_artifacts.errors import InputError
    from mooring_artifacts.safe_yaml import Limits, load_all_yaml

    from mooring_operator.cli.files import read_manifests

    manifest, *others = read_manifests([file])
    if others:
        raise CliError(f"{file} is a folder of {1 + len(others)} files: name the one with the pipeline")
    try:
        documents = load_all_yaml(manifest.text.encode(), Limits(size=_LARGEST_PIPELINE))
    except InputError as error:
        raise CliError(f"{manifest.label}: {error}") from None
    # Beside it may stand a document for the platform.
    found = [one for one in documents if isinstance(one, dict) and "pipelineInfo" in one]
    if len(found) != 1:
        raise CliError(
            f"{manifest.label} is no compiled pipeline: pipelineInfo is missing",
            hint="compile it with kfp.compiler.Compiler().compile(PIPELINE, FILE)",
        )
    pipeline: dict[str, object] = found[0]
    return pipeline


def _exit_code(found: bool | str) -> int:
    """Give the code of a verdict, or of the reason why there is none."""
    if isinstance(found, bool):
        return OK if found else NO
    return NO if found == "DataInvalid" else UNUSABLE


def _read(file: str) -> list[dict[str, Any]]:
    from mooring_operator.cli.commands.validate import valid_objects

    return [*valid_objects([file], to="test")]


def _deployment(
    objects: Sequence[dict[str, Any]], file: str, name: str | None
) -> tuple[str, "ModelDeploymentSpec"]:
    from mooring_operator.api import ModelDeploymentSpec

    found = [one for one in objects if one.get("kind") == "ModelDeployment"]
    if name is not None:
        found = [one for one in found if one["metadata"]["name"] == name]
    if len(found) != 1:
        several = ", ".join(str(one["metadata"]["name"]) for one in found)
        which = "" if name is None else f" {name}"
        raise CliError(
            f"{file} has several ModelDeployments: {several}"
            if found
            else f"{file} has no ModelDeployment{which}",
            hint="name one by --name" if found else "",
        )
    return str(found[0]["metadata"]["name"]), ModelDeploymentSpec.model_validate(found[0]["spec"])


def _demands(objects: Sequence[dict[str, Any]], spec: "ModelDeploymentSpec") -> dict[str, object]:
    """Give what policies beside the deployment have looked up: those that it names, and all of the cluster's."""
    from mooring_operator.api import ModelPolicySpec
    from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
    from mooring_operator.api.names import SIGNERS_CONFIG_MAP
    from mooring_operator.planning.policies.evidence import demands_of

    cluster = [
        ClusterModelPolicySpec.model_validate(one["spec"])
        for one in objects
        if one.get("kind") == "ClusterModelPolicy"
    ]
    named = [
        ModelPolicySpec.model_validate(one["spec"])
        for one in objects
        if one.get("kind") == "ModelPolicy" and one["metadata"]["name"] in spec.policies
    ]
    asked = [*cluster, *named]
    if unknown := sorted(_without_key(asked)):
        output.say(
            f"ConfigMap {SIGNERS_CONFIG_MAP} is not read here: no signature of {', '.join(unknown)} is verified",
            stderr=True,
        )
    return demands_of(asked, spec.model.signature)


def _without_key(policies: "Iterable[DemandsOnFiles]") -> set[str]:
    return {signer.name for policy in policies for signer in policy.signed_by if signer.public_key is None}


class _Progress:
    """Says on stderr which steps are done, with a spinner for the one that runs where that is a terminal."""

    def __enter__(self) -> "Told":
        console = output.console(stderr=True)
        self._status = console.status("preparing") if sys.stderr.isatty() else None
        (self._status or nullcontext()).__enter__()
        return self._tell

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def _tell(self, step: str, seconds: float | None, problem: str) -> None:
        if seconds is None:
            if self._status is not None:
                self._status.update(step)
            return
        output.say(
            f"{step}: {problem or 'done'} ({seconds:.1f} s)", style="red" if problem else "dim", stderr=True
        )
