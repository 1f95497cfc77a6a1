"""``spec.rollout.router``: who decides which requests a revision gets."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

RouterName = Literal["Auto", "Endpoints", "KServe", "Knative"]

Router = Annotated[
    RouterName,
    Field(
        description="Who decides which requests a revision gets. Endpoints: a Service of the deployment's name whose "
        "pods are those of the revisions, so that shares follow from pods; it needs no gateway. KServe: canaries of "
        "one InferenceService, split by KServe's HTTPRoute. Knative: mode Knative, and nothing else does there. "
        "Auto: KServe, or Knative in mode Knative."
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
