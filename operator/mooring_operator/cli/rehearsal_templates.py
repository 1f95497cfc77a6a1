"""Templates in a rehearsal: what of them is played, by what users state of their rates and agreements."""

from typing import Any

from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.rehearsal_traffic import Traffic
from mooring_operator.cli.validation.templates import templates_in
from mooring_operator.planning.analysis.measuring import queries_of, rates_of
from mooring_operator.planning.analysis.templates import resolve


def with_templates(
    spec: ModelDeploymentSpec, deployment: dict[str, Any], objects: list[Any], traffic: Traffic
) -> tuple[ModelDeploymentSpec, str]:
    """Give the spec with the metrics of the templates that it names, and what is stated of their rates and agreements.

    The second says which are left out, for nobody has stated what they give; nothing where none is.

    Raises:
        CliError: something is stated that no template has, a template is missing, or nothing is left.
    """
    analysis, name = spec.rollout.analysis, deployment["metadata"]["name"]
    stated = {"rates": ("--rate", traffic.rates), "agreements": ("--differ", traffic.differing)}
    if analysis is None or not analysis.templates:
        for kind, (option, names) in stated.items():
            if names:
                raise CliError(f"{option} {next(iter(names))}: {name} names no template with {kind}")
        return spec, ""
    namespace = str(deployment["metadata"].get("namespace", "default"))
    resolved, standards = resolve(analysis, templates_in(objects), namespace)
    if standards.problem:
        raise CliError(
            standards.problem, hint="give the file with the template too: mooring rehearse FILE FILE"
        )
    known = {
        "rates": [rate.metric for rate in rates_of(resolved)],
        "agreements": [query.name for query in queries_of(resolved) if query.is_agreement],
    }
    left_out = []
    for kind, (option, names) in stated.items():
        unknown = next((name for name in names if name not in known[kind]), None)
        if unknown is not None:
            raise CliError(f"{option} {unknown}: the templates have {', '.join(known[kind]) or f'no {kind}'}")
        left_out += [(name, option) for name in known[kind] if name not in names]
    rates = tuple(rate for rate in rates_of(resolved) if rate.metric in traffic.rates)
    # What other queries would give, nobody can state.
    queries = tuple(query for query in queries_of(resolved) if query.name in traffic.differing)
    if not (resolved.metrics or rates or queries):
        raise CliError(
            "nothing of the templates can be rehearsed: what queries give is not known, nor what rates and copies do",
            hint=f"state it: {_example(*left_out[0])}" if left_out else "",
        )
    compared = resolved.model_copy(update={"queries": queries, "rates": rates})
    played = spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"analysis": compared})})
    return played, ", ".join(f"{name} ({option})" for name, option in left_out)


def _example(name: str, option: str) -> str:
    return f"{option} {name}={'5,2' if option == '--rate' else '2'}"
