"""``mooring rehearse``: what a rollout would do, and when, without a cluster."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isnan, nan
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from mooring_operator.cli import output
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mooring_operator.cli.rehearsal import Timeline
    from mooring_operator.cli.rehearsal_traffic import StatedRate, Traffic
    from mooring_operator.cli.rehearsal_world import Script

SpecT = TypeVar("SpecT", bound="BaseModel")

_HELP = paragraphs(
    """
    Show what a rollout would do, and when, without a cluster.

    The operator's own planner decides, a simulated world answers: a CI run that passes or fails, pods
    that become ready or do not, webhooks and Jobs that pass or do not, a person who approves or does
    not. Shown are the first deployment of the model and a new revision on top of a stable one; --first
    and --from-stable show one of them.

    With spec.rollout.analysis, --requests and the shares of them that go wrong say what is judged: shown are a
    rollout that counts what is expected, and how probable each end is where requests fail by chance.

    Freezes and dates count from --at, deployments of spec.rollout.requires have promoted the model, and
    nobody else's turn is waited for.

    ModelPolicies among FILES are applied; others that the deployment names are taken as met. So are
    ClusterModelPolicies among FILES, as if they bound every namespace.
    """,
    "mooring rehearse iris.yaml",
    "mooring rehearse iris.yaml --ci fail",
    "mooring rehearse iris.yaml --from-stable --candidate never",
    "mooring rehearse iris.yaml --checks fail",
    "mooring rehearse iris.yaml --approve-after 2h --candidate 'after 90s'",
    "mooring rehearse iris.yaml policies.yaml --metric accuracy=0.87",
    "mooring rehearse iris.yaml --at 2026-12-18T17:00:00+01:00     (into a freeze)",
    "mooring rehearse iris.yaml --from-stable --requests 50 --errors 2",
    "mooring rehearse iris.yaml accuracy.yaml --from-stable --requests 50 --rate wrong-answers=20,10,5",
    "mooring rehearse iris.yaml agreement.yaml --from-stable --requests 5 --differ disagreement=4",
)


class Outcome(StrEnum):
    """How the CI run ends."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"


class CheckOutcome(StrEnum):
    """What webhooks and Jobs of steps find."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INSUFFICIENT = "insufficient"


_FINDS: dict[CheckOutcome, Literal["Pass", "Fail", "Insufficient"]] = {
    CheckOutcome.PASS: "Pass",
    CheckOutcome.FAIL: "Fail",
    CheckOutcome.INSUFFICIENT: "Insufficient",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("rehearse", help=_HELP, rich_help_panel="Before a cluster")(rehearse)


def rehearse(
    files: Annotated[list[str], typer.Argument(metavar="FILES", help="Manifests, folders, or - for stdin.")],
    ci: Annotated[Outcome, typer.Option(help="How the CI run ends.")] = Outcome.PASS,
    ci_takes: Annotated[str, typer.Option(metavar="TIME", help="How long the run takes, or never.")] = "2m",
    candidate: Annotated[
        str, typer.Option(metavar="WHEN", help="When pods are ready: ready (at once), after 30s, never.")
    ] = "after 30s",
    approve_after: Annotated[
        str, typer.Option(metavar="TIME", help="How long a person takes to approve, or never.")
    ] = "5m",
    checks: Annotated[
        CheckOutcome, typer.Option(help="What webhooks and Jobs of steps find.")
    ] = CheckOutcome.PASS,
    checks_take: Annotated[
        str, typer.Option(metavar="TIME", help="How long each of them takes, or never.")
    ] = "1m",
    requests: Annotated[
        float,
        typer.Option(metavar="N", min=0, max=1_000_000, help="Requests a second, for spec.rollout.analysis."),
    ] = 0.0,
    errors: Annotated[
        float, typer.Option(metavar="PERCENT", min=0, max=100, help="How many the new revision gets wrong.")
    ] = 1.0,
    stable_errors: Annotated[
        float, typer.Option(metavar="PERCENT", min=0, max=100, help="How many the stable one gets wrong.")
    ] = 1.0,
    slower: Annotated[
        float, typer.Option(metavar="PERCENT", min=-90, max=10_000, help="How much slower the new one is.")
    ] = 0.0,
    drift: Annotated[
        float,
        typer.Option(
            metavar="POINTS", min=-30, max=70, help="How much more often the new one predicts a class of 30%."
        ),
    ] = 0.0,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PERCENT,PERCENT[,N]",
            help="What a rate of a template gives: bad ones of the new revision's and of the stable one's, and how "
            "many are counted a second, --requests where it is left out; repeatable.",
        ),
    ] = None,
    differ: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PERCENT",
            help="Of an agreement of a template: how many copies of requests are answered otherwise; repeatable.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What the CI run measures; repeatable.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When it begins, like 2027-01-31T18:00:00+01:00; now when left out."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The ModelDeployment, where FILES hold several.")] = None,
    first: Annotated[bool, typer.Option("--first", help="The first deployment only.")] = False,
    from_stable: Annotated[
        bool, typer.Option("--from-stable", help="A new revision on top of a stable one only.")
    ] = False,
    form: Annotated[output.Format, typer.Option("-o", "--output", help="How to write it.")] = (
        output.Format.TEXT
    ),
) -> None:
    """Play the rollout of every ModelDeployment in the files."""
    from mooring_operator.cli.commands.validate import valid_objects

    objects = list(valid_objects(files, to="rehearse"))
    deployments = _deployments(objects, name)
    script = replace(
        _script(ci, ci_takes, candidate, approve_after, metric or [], objects),
        checks=_FINDS[checks],
        checks_take=_time("--checks-take", checks_take),
        traffic=replace(
            _traffic(requests, errors, stable_errors, slower, drift),
            rates=_rates(rate or []),
            differing=_differing(differ or []),
        ),
        start=_start(at),
    )
    kinds = [kind for kind, wanted in ((False, first), (True, from_stable)) if wanted] or [False, True]
    _write(
        {_name_of(one): [_play(one, script, kind, objects) for kind in kinds] for one in deployments}, form
    )


def _name_of(deployment: dict[str, Any]) -> str:
    return str(deployment["metadata"]["name"])


def _deployments(objects: list[dict[str, Any]], name: str | None) -> list[dict[str, Any]]:
    found = [value for value in objects if value.get("kind") == "ModelDeployment"]
    if not found:
        raise CliError("no ModelDeployment in these files")
    if name is not None:
        found = [value for value in found if _name_of(value) == name]
        if not found:
            raise CliError(f"no ModelDeployment {name} in these files")
    return found


def _script(
    ci: Outcome, ci_takes: str, candidate: str, approve_after: str, metrics: list[str], objects: list[Any]
) -> "Script":
    from mooring_operator.api import ClusterModelPolicySpec, ModelPolicySpec
    from mooring_operator.cli.rehearsal_world import Script
    from mooring_operator.planning.policies.signers import assume_keys

    return Script(
        ci="pass" if ci is Outcome.PASS else "fail",
        ci_takes=_time("--ci-takes", ci_takes),
        ready_after=_time("--candidate", candidate),
        approve_after=_time("--approve-after", approve_after),
        metrics=dict(_metric(text) for text in metrics),
        policies={
            name: assume_keys(policy)
            for name, policy in _specs(objects, "ModelPolicy", ModelPolicySpec).items()
        },
        cluster_policies={
            name: assume_keys(policy)
            for name, policy in _specs(objects, "ClusterModelPolicy", ClusterModelPolicySpec).items()
        },
    )


def _start(text: str | None) -> datetime:
    """Read when a rehearsal begins: freezes and dates of a spec are about real time."""
    from mooring_operator.api import forms

    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        if forms.INSTANT.fits(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is not {forms.INSTANT.allowed}", param_hint="--at")


def _traffic(requests: float, errors: float, stable_errors: float, slower: float, drift: float) -> "Traffic":
    from mooring_operator.cli.rehearsal_traffic import Traffic

    return Traffic(requests, errors / 100, stable_errors / 100, 1 + slower / 100, drift / 100)


def _rates(texts: list[str]) -> "dict[str, StatedRate]":
    """Read ``NAME=BAD,STABLE_BAD[,PER_SECOND]``; both shares are in percent."""
    from mooring_operator.cli.rehearsal_traffic import StatedRate

    found = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        try:
            bad, stable_bad, per_second = ([float(number) for number in numbers.split(",")] + [nan])[:3]
            fits = numbers.count(",") <= 2 and not (per_second <= 0 or per_second > 1e6)
        except ValueError:
            bad, stable_bad, per_second, fits = nan, nan, nan, False
        if not (fits and 0 <= bad <= 100 and 0 <= stable_bad <= 100):
            raise typer.BadParameter(
                f"{text!r}: write NAME=PERCENT,PERCENT or NAME=PERCENT,PERCENT,N: bad ones of the new revision's and "
                "of the stable one's, each 0 to 100, and how many are counted a second",
                param_hint="--rate",
            )
        if name in found:
            raise typer.BadParameter(f"{name} is there twice", param_hint="--rate")
        found[name] = StatedRate(bad / 100, stable_bad / 100, None if isnan(per_second) else per_second)
    return found


def _differing(texts: list[str]) -> dict[str, float]:
    """Read ``NAME=PERCENT``: pairs that differ."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            share = float(number) / 100
        except ValueError:
            share = nan
        if not (name and 0 <= share <= 1):
            raise typer.BadParameter(
                f"{text!r}: write NAME=PERCENT, 0 to 100: how many copies are answered otherwise",
                param_hint="--differ",
            )
        if name in found:
            raise typer.BadParameter(f"{name} is there twice", param_hint="--differ")
        found[name] = share
    return found


def _specs(objects: list[Any], kind: str, model: type[SpecT]) -> dict[str, SpecT]:
    found = [value for value in objects if value.get("kind") == kind]
    return {value["metadata"]["name"]: model.model_validate(value["spec"]) for value in found}


def _time(option: str, text: str) -> timedelta | None:
    """Read ``5m``, ``after 5m``, ``ready`` or ``0s`` (at once) or ``never`` (None)."""
    from mooring_operator.api.types import parse_duration

    word = text.strip().removeprefix("after").strip()
    if word in ("never", "ready", "0s"):
        return None if word == "never" else timedelta()
    try:
        return parse_duration(word)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r}: write a time like 30s, 5m or 1h30m, 0s for at once, or never", param_hint=option
        ) from error


def _metric(text: str) -> tuple[str, float]:
    from mooring_artifacts.gates import unknown_metric

    name, _, number = text.partition("=")
    if (problem := unknown_metric(name)) is not None:
        raise typer.BadParameter(problem, param_hint="--metric")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write NAME=NUMBER", param_hint="--metric") from None


def _play(deployment: dict[str, Any], script: "Script", from_stable: bool, objects: list[Any]) -> "Timeline":
    from mooring_operator.adapters.rules.child import RulesUnavailable
    from mooring_operator.api import ModelDeploymentSpec
    from mooring_operator.cli.rehearsal import rehearse as play
    from mooring_operator.cli.rehearsal_templates import with_templates

    try:
        given = ModelDeploymentSpec.model_validate(deployment["spec"])
        spec, left_out = with_templates(given, deployment, objects, script.traffic)
        if left_out and from_stable:
            told = f"not played, for nobody has stated what they give: {left_out}"
            output.say(told, style="yellow", stderr=True)
        return play(spec, script, name=_name_of(deployment), from_stable=from_stable)
    except OverflowError:
        raise CliError("a duration is too long to rehearse: it goes beyond the year 9999") from None
    except RulesUnavailable as error:
        raise CliError(str(error)) from error


def _write(played: dict[str, list["Timeline"]], form: output.Format) -> None:
    from mooring_operator.cli.rehearsal_view import render, to_plain

    if form is not output.Format.TEXT:
        plain = [{"name": name, "timelines": [to_plain(t) for t in found]} for name, found in played.items()]
        output.dump(plain, form)
        return
    console = output.console()
    for name, timelines in played.items():
        console.print(f"ModelDeployment {name}", style="bold", markup=False)
        for timeline in timelines:
            console.print(render(timeline))
