"""What Prometheus has no series of, with what to look at."""

from mooring_operator.planning.analysis.counting import Answer


def missing_series(answer: Answer) -> str:
    """Say which metric of an answer nothing was counted of, and where that may lie; nothing where there is none."""
    name = next((name for name, counted in answer.metrics.items() if counted.is_empty), None)
    if name is None:
        return ""
    request = answer.request
    either = f"{request.candidate} or {request.stable}"
    if any(rate.metric == name for rate in request.rates):
        asked = request.question(name).metric
        return (
            f"{name}: Prometheus has no {asked.counter} in namespace {request.namespace} with {asked.arm} {either}; "
            "is it counted, and scraped?"
        )
    if name == "predictionDrift":
        counter = request.question(name).metric.counter
        return (
            f"{name}: Prometheus has no {counter} of model {request.name} with revision {either}; is the runtime one "
            "that counts predictions, and scraped?"
        )
    if request.source.name != "Mooring":
        return (
            f"{name}: Prometheus has no {request.question(name).metric.counter} of {request.source.name} for revision "
            f"{either}; is it scraped, with {request.source.needs}?"
        )
    return (
        f"{name}: Prometheus has no series of model {request.name} in namespace {request.namespace} with revision "
        f"{either}; is the runtime scraped, with labels namespace and revision?"
    )
