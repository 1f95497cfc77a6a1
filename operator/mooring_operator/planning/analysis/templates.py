"""From the templates that a deployment names, and what it tells them, to what it is judged by."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mooring_artifacts.uris import is_web_address
from pydantic import ValidationError

from mooring_operator.api import reasons
from mooring_operator.api.analysis import Analysis, MetricLimit, UsedTemplate
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, TemplateMetric
from mooring_operator.api.template_queries import GIVE_JSON, MOST_QUERIES, Query
from mooring_operator.planning.analysis.agreements import AgreementQuery
from mooring_operator.planning.analysis.measuring import JudgedAnalysis, UsedQuery
from mooring_operator.planning.analysis.places import problems_of_text
from mooring_operator.planning.analysis.promql import problems_of_query
from mooring_operator.planning.analysis.rates import MOST_JUDGED, UsedRate, problems_of_rate

_FIELD = "spec.rollout.analysis"
_LIST = re.compile(r"(?<![\w.])result\s*\[")
_ARGUMENT = re.compile(r"(?<![\w.])arguments\.([A-Za-z_]\w*)")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_ONE_NUMBER = "result is one number: write result < 0.05, where Argo Rollouts has result[0] < 0.05"


@dataclass(frozen=True)
class Found:
    """A template as it was looked up: without a `spec`, `missing` says why there is none."""

    spec: AnalysisTemplateSpec | None = None
    generation: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Standards:
    """The templates that an analysis goes by, with their generations; or why it cannot go by them."""

    templates: str = ""
    reason: str = ""
    problem: str = ""


class TemplateProblem(Exception):
    """A deployment cannot be judged by what it names; `reason` is the condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def resolve(
    analysis: Analysis,
    found: Mapping[tuple[str, str], Found],
    namespace: str,
    *,
    only_found: bool = False,
) -> tuple[Analysis, Standards]:
    """Give the analysis with the metrics of the templates that it names, and which those are.

    Where one cannot be gone by, it is the analysis as it was, and the standards say why. With `only_found`, what is not
    among those that were found is left out.
    """
    metrics = list(analysis.metrics)
    sources: dict[str, str] = {metric.metric: f"{_FIELD}.metrics" for metric in metrics}
    queries: list[UsedQuery] = []
    rates: list[UsedRate] = []
    names = []
    try:
        for index, used in enumerate(analysis.templates):
            if only_found and used.key not in found:
                continue
            where = f"{_FIELD}.templates[{index}]"
            template = found.get(used.key, Found())
            if template.spec is None:
                raise TemplateProblem(
                    reasons.ANALYSIS_TEMPLATE_NOT_FOUND, _missing(where, used, template, namespace)
                )
            metrics_told, values = _told(where, used, template.spec)
            for metric in metrics_told:
                _only_one(where, used, "metric", metric.metric, sources)
                metrics.append(metric)
            for rate in template.spec.rates:
                _only_one(where, used, "rate", rate.name, sources)
                rates.append(UsedRate(rate, values, used.name))
            for agreement in template.spec.agreements:
                _only_one(where, used, "agreement", agreement.name, sources)
                _only_one(where, used, "query", agreement.name, sources)
                _few_enough(where, used, queries)
                queries.append(UsedQuery(AgreementQuery.of(agreement), {}, used.name, used.kind))
            agreements = sum(query.is_agreement for query in queries)
            if len(metrics) + len(rates) + agreements > MOST_JUDGED:
                raise TemplateProblem(
                    reasons.ANALYSIS_TEMPLATE_UNUSABLE,
                    f"{where}: with {_named(used)} there are more than {MOST_JUDGED} metrics, rates and agreements; "
                    "leave some out",
                )
            for query in template.spec.queries:
                _only_one(where, used, "query", query.name, sources)
                _few_enough(where, used, queries)
                queries.append(UsedQuery(query, values, used.name, used.kind))
            names.append(f"{'cluster/' if used.cluster_scope else ''}{used.name}@{template.generation}")
    except TemplateProblem as problem:
        return analysis, Standards(reason=problem.reason, problem=str(problem))
    own = {name: getattr(analysis, name) for name in Analysis.model_fields}
    judged = JudgedAnalysis.model_construct(
        **{**own, "metrics": metrics, "queries": tuple(queries), "rates": tuple(rates)}
    )
    return judged, Standards(templates=" ".join(names))


def problems_of(spec: AnalysisTemplateSpec) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong with a template whatever it is told: the field as a path below spec, and why."""
    known = {argument.name: argument.value for argument in spec.arguments}
    for index, metric in enumerate(spec.metrics):
        for field, argument in metric.from_arguments.by_field.items():
            path = ("metrics", index, "fromArguments", field)
            if argument not in known:
                yield path, f"{argument!r} is none of spec.arguments: {', '.join(known) or 'there are none'}"
            elif getattr(metric, field) is not None:
                yield path, f"{field} is a number as well; leave one of them out"
            else:
                value = known[argument]
                yield from ((path, why) for why in _unfit(metric, {argument: value} if value else {}))
    for index, rate in enumerate(spec.rates):
        for field, why in problems_of_rate(rate, known):
            part: tuple[str | int, ...] = ("rates", index, *field.split("."))
            yield part, why
    for index, query in enumerate(spec.queries):
        yield from ((("queries", index, "query"), why) for why in problems_of_query(query.query or "", known))
        if query.webhook is not None and not is_web_address(query.webhook.url):
            yield ("queries", index, "webhook", "url"), "its port is none: write one from 1 to 65535"
        for below, text in query.texts.items():
            place: tuple[str | int, ...] = ("queries", index, *below)
            yield from ((place, why) for why in problems_of_text(text, known))
        for field, expression in conditions_of(query):
            if query.provider not in GIVE_JSON and _LIST.search(expression):
                yield ("queries", index, field), _ONE_NUMBER
            told = _ARGUMENT.findall(_TEXT.sub("''", expression))
            if (unknown := next((name for name in told if name not in known), None)) is not None:
                yield (
                    ("queries", index, field),
                    f"arguments.{unknown} is none of spec.arguments: {', '.join(known) or 'there are none'}",
                )


def expressions_of(spec: AnalysisTemplateSpec) -> list[tuple[tuple[str | int, ...], str]]:
    """Give the conditions of a template's queries, with the fields that they stand in."""
    return [
        (("queries", index, field), expression)
        for index, query in enumerate(spec.queries)
        for field, expression in conditions_of(query)
    ]


def conditions_of(query: Query) -> list[tuple[str, str]]:
    """Give the conditions of a query, with the fields that they stand in."""
    both = (("successCondition", query.success_condition), ("failureCondition", query.failure_condition))
    return [(field, expression) for field, expression in both if expression]


def _only_one(where: str, used: UsedTemplate, what: str, name: str, sources: dict[str, str]) -> None:
    """Each metric and rate has a name of its own, and each query."""
    key = f"{what} {name}" if what == "query" else name
    if key in sources:
        raise TemplateProblem(
            reasons.ANALYSIS_TEMPLATE_UNUSABLE,
            f"{where}: {_named(used)} has {what} {name}, and so has {sources[key]}; leave one of them out",
        )
    sources[key] = _named(used)


def _few_enough(where: str, used: UsedTemplate, queries: list[UsedQuery]) -> None:
    if len(queries) == MOST_QUERIES:
        raise TemplateProblem(
            reasons.ANALYSIS_TEMPLATE_UNUSABLE,
            f"{where}: with {_named(used)} there are more than {MOST_QUERIES} queries and agreements; name fewer "
            "templates",
        )


def _told(
    where: str, used: UsedTemplate, spec: AnalysisTemplateSpec
) -> tuple[list[MetricLimit], dict[str, str]]:
    """Give the metrics of a template that is told `used.arguments`, and what all of its arguments are."""
    for path, why in problems_of(spec):
        raise TemplateProblem(
            reasons.ANALYSIS_TEMPLATE_UNUSABLE, f"{where}: {_named(used)}, {dotted(path)}: {why}"
        )
    values = _arguments(where, used, spec)
    for metric in spec.metrics:
        for why in _unfit(metric, values):
            raise TemplateProblem(reasons.ANALYSIS_TEMPLATE_UNUSABLE, f"{where}.arguments: {why}")
    return [_limit(metric, values) for metric in spec.metrics], values


def _arguments(where: str, used: UsedTemplate, spec: AnalysisTemplateSpec) -> dict[str, str]:
    """Give what all arguments are."""
    known = {argument.name: argument.value for argument in spec.arguments}
    unknown = next((name for name in used.arguments if name not in known), None)
    if unknown is not None:
        raise TemplateProblem(
            reasons.ANALYSIS_TEMPLATE_UNUSABLE,
            f"{where}.arguments: {_named(used)} has no argument {unknown!r}; it has {', '.join(known) or 'none'}",
        )
    values = {name: used.arguments.get(name, value) for name, value in known.items()}
    left_out = next((name for name, value in values.items() if value is None), None)
    if left_out is not None:
        raise TemplateProblem(
            reasons.ANALYSIS_TEMPLATE_UNUSABLE,
            f"{where}.arguments: {_named(used)} needs argument {left_out!r}, and it has no value of its own",
        )
    return {name: value for name, value in values.items() if value is not None}


def _unfit(metric: TemplateMetric, values: Mapping[str, str]) -> Iterator[str]:
    """Yield why what an argument is cannot be the bound that it says."""
    try:
        _limit(metric, values)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            field = str(found["loc"][0]) if found["loc"] else ""
            argument = metric.from_arguments.by_field.get(field)
            value = values.get(argument or "")
            said = f"argument {argument} is {value!r}, and " if value is not None else ""
            why = found["msg"].removeprefix("Value error, ")
            yield f"{said}{metric.metric}{f'.{field}' if field else ''}: {why[:1].lower()}{why[1:]}"


def _limit(metric: TemplateMetric, values: Mapping[str, str]) -> MetricLimit:
    """Give the metric with what arguments say; one without a value says nothing."""
    fields: dict[str, Any] = metric.model_dump(exclude={"from_arguments"}, exclude_none=True)
    told = metric.from_arguments.by_field.items()
    return MetricLimit.model_validate(
        {**fields, **{field: values[argument] for field, argument in told if argument in values}}
    )


def _missing(where: str, used: UsedTemplate, template: Found, namespace: str) -> str:
    if template.missing:
        return f"{where}: {_named(used)} {template.missing}"
    place = "" if used.cluster_scope else f" in namespace {namespace!r}"
    return f"{where}: {_named(used)} does not exist{place}; make it"


def _named(used: UsedTemplate) -> str:
    return f"{used.kind} {used.name}"


def dotted(path: tuple[str | int, ...]) -> str:
    """Write a path below spec as a field."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
