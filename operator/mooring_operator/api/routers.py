"""``spec.rollout.router``, ``gateway`` and ``host``: who decides which requests a revision gets."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from mooring_operator.api import forms
from mooring_operator.api.types import Model

RouterName = Literal["Auto", "Gateway", "Endpoints", "KServe", "Knative"]

Router = Annotated[
    RouterName,
    Field(
        description="Who decides which requests a revision gets. Gateway: an HTTPRoute of Mooring's, with weights, "
        "mirrors, headers and cookies. Endpoints: a Service whose pods are those of the revisions, so that shares "
        "follow from pods; it needs no gateway. KServe: canaries of one InferenceService, split by KServe's route. "
        "Knative: for mode Knative, which has no other. "
        "Auto: Knative in mode Knative; else Gateway, where one is named that works; else KServe, where the Gateway "
        "API is installed and it can what is asked for; else Endpoints. status.router says which and why."
    ),
]


class GatewayRef(Model):
    """A Gateway of the Gateway API."""

    name: Annotated[str, forms.OBJECT_NAME.field, Field(description="Gateway's name.")]
    namespace: Annotated[
        str | None,
        forms.LABEL.field,
        Field(description="Gateway's namespace; the ModelDeployment's own when left out."),
    ] = None


Gateway = Annotated[
    GatewayRef | None,
    Field(
        description="Gateway that requests come through, for router Gateway; the operator's (MOORING_GATEWAY) when "
        "left out."
    ),
]


def _is_outside(host: str | None) -> str | None:
    if host is not None and (host.endswith((".svc", ".local")) or ".svc." in host):
        raise ValueError(f"{host} is a name inside of the cluster: give one outside of it")
    return host


Host = Annotated[
    str | None,
    forms.HOST.field,
    AfterValidator(_is_outside),
    Field(
        description="Host name outside of the cluster, for router Gateway: a listener of it takes it, and no other "
        "deployment has it.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!(self.endsWith('.svc') || self.endsWith('.local') || self.contains('.svc.'))",
                    "messageExpression": "'spec.rollout.host ' + self + ' is a name inside of the cluster: give one "
                    "outside of it'",
                }
            ]
        },
    ),
]

ROUTER_RULES: list[JsonValue] = [
    {
        "rule": "self.rollout.router == 'Auto' || "
        "(self.rollout.router == 'Knative') == (self.serving.mode == 'Knative')",
        "messageExpression": "'spec.rollout.router ' + self.rollout.router + ' cannot serve in spec.serving.mode ' + "
        "self.serving.mode + ': write Auto, or Knative in mode Knative and another in mode Standard'",
    }
]
