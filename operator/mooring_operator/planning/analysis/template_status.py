"""What the status of a template says: whether deployments can be judged by it."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, TemplateStatus
from mooring_operator.planning.analysis.templates import dotted, problems_of
from mooring_operator.planning.status import conditions

_MOST_TOLD = 5


def judge_template(
    template: AnalysisTemplateSpec, before: TemplateStatus, generation: int, now: datetime
) -> TemplateStatus:
    """Give the status of a template that could be read."""
    problems = [f"{dotted(path)}: {why}" for path, why in problems_of(template)]
    if problems:
        more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
        return refuse_template(before, "; ".join(problems[:_MOST_TOLD]) + more, generation, now)
    told = ", ".join(metric.metric for metric in template.metrics)
    wanted = {"Ready": ("True", reasons.TEMPLATE_ACCEPTED, f"deployments can be judged by it: {told}")}
    return conditions.report(before, wanted, generation, now)


def refuse_template(before: TemplateStatus, message: str, generation: int, now: datetime) -> TemplateStatus:
    """Give the status of a template that no deployment can be judged by."""
    reason = reasons.INVALID_TEMPLATE
    wanted = {"Ready": ("False", reason, message), "Stalled": ("True", reason, message)}
    return conditions.report(before, wanted, generation, now)
