"""What the status of a template says: whether deployments can be judged by it."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, TemplateStatus
from mooring_operator.planning.analysis.measuring import FACTS
from mooring_operator.planning.analysis.templates import dotted, expressions_of, problems_of
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion
from mooring_operator.planning.status import conditions

_MOST_TOLD = 5


def reading_of(template: AnalysisTemplateSpec) -> RuleQuestion | None:
    """Ask whether the conditions of a template can be read; None where it has none."""
    expressions = tuple(expression for _, expression in expressions_of(template))
    return RuleQuestion(expressions, names=FACTS) if expressions else None


def judge_template(
    template: AnalysisTemplateSpec,
    before: TemplateStatus,
    generation: int,
    now: datetime,
    read: RuleAnswers | None = None,
) -> TemplateStatus:
    """Give the status of a template that could be read; `read` says whether its conditions could be."""
    problems = [f"{dotted(path)}: {why}" for path, why in problems_of(template)]
    if read is not None:
        paths = [path for path, _ in expressions_of(template)]
        told = zip(paths, read.problems, strict=True)
        problems += [f"{dotted(path)}: {why}" for path, why in told if why is not None]
    if problems:
        more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
        return refuse_template(before, "; ".join(problems[:_MOST_TOLD]) + more, generation, now)
    names: list[str] = [metric.metric for metric in template.metrics]
    names += [rate.name for rate in template.rates]
    names += [agreement.name for agreement in template.agreements]
    names += [query.name for query in template.queries]
    message = f"deployments can be judged by it: {', '.join(names)}"
    wanted = {"Ready": ("True", reasons.TEMPLATE_ACCEPTED, message)}
    return conditions.report(before, wanted, generation, now)


def refuse_template(before: TemplateStatus, message: str, generation: int, now: datetime) -> TemplateStatus:
    """Give the status of a template that no deployment can be judged by."""
    reason = reasons.INVALID_TEMPLATE
    wanted = {"Ready": ("False", reason, message), "Stalled": ("True", reason, message)}
    return conditions.report(before, wanted, generation, now)
