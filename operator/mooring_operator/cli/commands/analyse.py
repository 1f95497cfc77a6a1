"""``mooring analyse``: what the counters say about a canary."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mooring_operator.cli import output
from mooring_operator.cli.commands.options import Context, Namespace, Output, connect
from mooring_operator.cli.errors import NO, OK, UNUSABLE, CliError
from mooring_operator.cli.help import paragraphs

_SUFFIXES = (".yaml", ".yml", ".json")

if TYPE_CHECKING:
    from mooring_operator.api import ModelDeploymentSpec
    from mooring_operator.cli.analysis import Asked
    from mooring_operator.cli.whole_analysis import Subject, Whole
    from mooring_operator.planning.analysis.templates import Found

_HELP = paragraphs(
    """
    Judge a canary by the counters that Prometheus has, and say what the verdict rests on.

    FAIL: the candidate is beyond its limit; a candidate within it is called so with the probability of
    --false-rollback at most, however often one looks. PASS: it is within the limit. INSUFFICIENT: so few
    requests tell nothing yet.

    A FILE with a ModelDeployment, or a NAME whose deployment has spec.rollout.analysis, is judged by all of that: its
    metrics, and the metrics and queries of the templates that it names, which stand in the file too or are looked up.
    Without --prometheus it is said what the operator has found so far of NAME: by whomever it counts, with the pods'
    own counters and the numbers of webhooks, which nobody else has.

    Options below about one metric compare that alone. The limit of a rate is RATIO times the stable revision's, and
    POINTS percent more; that of latency is a quantile that is no more than so much slower.

    Exit codes: 0 PASS; 1 FAIL; 2 INSUFFICIENT, or Prometheus could not be read.
    """,
    "mooring analyse iris                                          (what the operator has found)",
    "mooring analyse iris --prometheus http://localhost:9090",
    "mooring analyse iris.yaml --prometheus http://localhost:9090 --candidate 1ac6bb2394 --stable 77f00acbd1",
    "mooring analyse iris --prometheus http://localhost:9090 --ratio 1 --points 0.5 --window 15m",
    "mooring analyse iris --prometheus http://localhost:9090 --metric latency --quantile 95",
    "mooring analyse iris --prometheus URL --candidate 1ac6bb2394 --stable 77f00acbd1   (no cluster needed)",
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("analyse", help=_HELP, rich_help_panel="Watch")(analyse)


def analyse(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A ModelDeployment by name, or the file that it is in.")
    ],
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of Prometheus; none for what the operator has found."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Compare one metric alone: errorRate, rejectedRate, latency or predictionDrift.",
            show_default=False,
        ),
    ] = None,
    window: Annotated[str, typer.Option(metavar="TIME", help="How far back to look.")] = "30m",
    every: Annotated[int, typer.Option(metavar="SECONDS", min=1, max=3600, help="Time between looks.")] = 10,
    ratio: Annotated[
        float | None, typer.Option(help="Times the stable revision's rate that are allowed; 1.2.")
    ] = None,
    points: Annotated[
        float | None,
        typer.Option(help="Percentage points more that are allowed; 0.2, and 5 of predictionDrift."),
    ] = None,
    false_rollback: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="How often a good candidate may be called bad; 1.")
    ] = None,
    quantile: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Of latency: which quantile; 99 is the p99.")
    ] = None,
    slower: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Of latency: how much slower it may be; 20.")
    ] = None,
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

    if prometheus is None:
        _refuse_without_prometheus(
            name,
            {
                "--metric": metric,
                "--ratio": ratio,
                "--points": points,
                "--false-rollback": false_rollback,
                "--quantile": quantile,
                "--slower": slower,
                "--candidate": candidate,
                "--stable": stable,
                "--selector": selector,
                "--token-file": token_file,
            },
        )
        _explain(name, namespace, context, form)
    if all(given is None for given in (metric, ratio, points, false_rollback, quantile, slower, selector)):
        subject = _subject(name, candidate, stable, namespace, context)
        if subject is not None:
            _judge_whole(subject, prometheus, window, every, token_file, form)
    if candidate is None or stable is None:
        candidate, stable, namespace = _revisions(name, candidate, stable, namespace, context)
    if metric == "predictionDrift":
        _refuse({"--ratio": ratio, "--quantile": quantile, "--slower": slower, "--selector": selector})
        subject = _of_predictions(name, namespace, candidate, stable, points, false_rollback)
        _judge_whole(subject, prometheus, window, every, token_file, form)
    asked: Asked = analysis.ask(
        metric=metric or "errorRate",
        revisions=(candidate, stable),
        matchers=analysis.matchers(name, namespace) if selector is None else selector,
        window=window,
        every=every,
        limit=(1.2 if ratio is None else ratio, 0.2 if points is None else points),
        false_rollback=1.0 if false_rollback is None else false_rollback,
        quantile=99.0 if quantile is None else quantile,
        slower=20.0 if slower is None else slower,
        until=datetime.now(UTC),
    )
    found = analysis.answer(asked, prometheus, _token(token_file))
    if form is output.Format.TEXT:
        output.console().print(analysis.view(found))
    else:
        output.dump(found.document(), form)
    raise typer.Exit({"PASS": OK, "FAIL": NO}.get(found.verdict, UNUSABLE))


def _judge_whole(
    subject: "Subject", prometheus: str, window: str, every: int, token_file: Path | None, form: output.Format
) -> NoReturn:
    from mooring_operator.cli import analysis, whole_analysis

    back = analysis.time_back(window, every)
    _show(
        whole_analysis.judge_whole(
            subject,
            address=analysis.checked_address(prometheus),
            token=_token(token_file),
            window=back,
            every=every,
            until=datetime.now(UTC).replace(microsecond=0),
        ),
        form,
    )


def _show(found: "Whole", form: output.Format) -> NoReturn:
    from mooring_operator.cli import whole_analysis

    if form is output.Format.TEXT:
        output.console().print(whole_analysis.view(found))
    else:
        output.dump(found.document(), form)
    raise typer.Exit({"PASS": OK, "FAIL": NO}.get(found.verdict, UNUSABLE))


def _refuse_without_prometheus(name: str, given: dict[str, Any]) -> None:
    """Raise CliError for what asks for more than the operator has found."""
    option = next((option for option, value in given.items() if value is not None), None)
    if option is not None:
        raise CliError(f"{option} needs --prometheus: without it, it is said what the operator has found")
    if name == "-" or name.endswith(_SUFFIXES):
        raise CliError(f"{name}: a file is judged with --prometheus; without it, name a ModelDeployment")


def _explain(name: str, namespace: str | None, context: str | None, form: output.Format) -> NoReturn:
    """Show what the status of a deployment says of its analysis."""
    from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus
    from mooring_operator.cli.explained_analysis import explain
    from mooring_operator.cli.whole_analysis import Subject
    from mooring_operator.planning.status.reading import read_status

    item = connect(context, namespace).get("ModelDeployment", name)
    spec = ModelDeploymentSpec.model_validate(item["spec"])
    status = read_status(ModelDeploymentStatus, item.get("status")).status
    namespace = str(item["metadata"]["namespace"])
    templates = _templates(spec, [], False, context, namespace)
    _show(explain(Subject(name, namespace, spec, status, "", "", templates)), form)


def _refuse(given: dict[str, float | str | None]) -> None:
    """Raise CliError for an option that says nothing about predictions."""
    option = next((name for name, value in given.items() if value is not None), None)
    if option is not None:
        raise CliError(
            f"{option} is not of --metric predictionDrift, which takes --points and --false-rollback"
        )


def _of_predictions(
    name: str,
    namespace: str | None,
    candidate: str,
    stable: str,
    points: float | None,
    false_rollback: float | None,
) -> "Subject":
    """Give two revisions whose predictions are compared, and nothing else of them."""
    from pydantic import ValidationError

    from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus
    from mooring_operator.cli.whole_analysis import Subject
    from mooring_operator.planning.status import spec_errors

    limit = {"metric": "predictionDrift"} | ({} if points is None else {"points": points})
    analysis = {
        "metrics": [limit],
        "falseRollback": f"{1.0 if false_rollback is None else false_rollback:g}%",
    }
    try:
        spec = ModelDeploymentSpec.model_validate(
            {"model": {"uri": "s3://models/any", "format": "onnx"}, "rollout": {"analysis": analysis}}
        )
    except ValidationError as error:
        raise CliError(f"--points, --false-rollback: {spec_errors.describe(error)}") from None
    return Subject(name, namespace or "default", spec, ModelDeploymentStatus(), candidate, stable, {})


def _subject(
    name: str, candidate: str | None, stable: str | None, namespace: str | None, context: str | None
) -> "Subject | None":
    """Give what is judged by its own analysis; None where it has none, or nothing is known of it here."""
    from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus
    from mooring_operator.cli.commands.validate import valid_objects
    from mooring_operator.cli.whole_analysis import Subject
    from mooring_operator.planning.status.reading import read_status

    known = name.endswith(_SUFFIXES) or name == "-"
    if not known and candidate is not None and stable is not None:
        # Nobody has to be asked about two revisions.
        return None
    objects: list[dict[str, Any]] = []
    if known:
        objects = list(valid_objects([name], to="analyse"))
        item = _only_deployment(name, objects)
        name = str(item["metadata"]["name"])
        namespace = namespace or item["metadata"].get("namespace")
    if not known or candidate is None or stable is None:
        candidate, stable, namespace = _revisions(name, candidate, stable, namespace, context)
    cluster_item = connect(context, namespace).get("ModelDeployment", name) if not known else None
    spec = ModelDeploymentSpec.model_validate((cluster_item or item)["spec"])
    if not known and spec.rollout.analysis is None:
        return None
    status = (cluster_item or {}).get("status")
    return Subject(
        name,
        namespace or "default",
        spec,
        read_status(ModelDeploymentStatus, status).status,
        candidate,
        stable,
        _templates(spec, objects, known, context, namespace),
    )


def _only_deployment(file: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    found = [value for value in objects if value.get("kind") == "ModelDeployment"]
    if len(found) != 1:
        raise CliError(
            f"{file} has {len(found)} ModelDeployments; analyse takes a file with one, and its templates"
        )
    return found[0]


def _templates(
    spec: "ModelDeploymentSpec",
    objects: list[dict[str, Any]],
    known: bool,
    context: str | None,
    namespace: str | None,
) -> dict[tuple[str, str], "Found"]:
    """Give the templates that are in the file; where a name was given, those of the cluster."""
    from mooring_operator.cli.validation.templates import templates_in

    analysis = spec.rollout.analysis
    if not known and analysis is not None:
        cluster = connect(context, namespace)
        objects = [{"kind": used.kind, **cluster.get(used.kind, used.name)} for used in analysis.templates]
    return templates_in(objects)


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
