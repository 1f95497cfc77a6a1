"""What a ``DriftMonitor`` watches, and what can be asked of a monitor of anything but a ModelDeployment."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from mooring_operator.api import forms
from mooring_operator.api.types import Model

TargetKind = Literal["ModelDeployment", "InferenceService"]
FOREIGN: Literal["InferenceService"] = "InferenceService"
"""The kind of what is served without a ModelDeployment."""
FOREIGN_FIELD = "inferenceService"
"""What messages to others call it."""
OTHER_KIND: dict[TargetKind, TargetKind] = {"ModelDeployment": FOREIGN, FOREIGN: "ModelDeployment"}
"""Where else a name may have been looked for."""

NEEDS_FILES = (
    "window.uri and baseline.uri are needed where spec.target is no ModelDeployment: it alone keeps requests"
)
NEEDS_REVISIONS = (
    "actions need a ModelDeployment as spec.target: nothing else has a revision to go back to, or a rollout"
)
NEEDS_REQUESTS = (
    "performance needs a ModelDeployment as spec.target: labels are joined with the requests that it keeps"
)
NEEDS_MODEL = "retrain needs a ModelDeployment as spec.target: it tests and rolls out what is trained"


class Target(Model):
    """What is watched."""

    kind: Annotated[
        TargetKind,
        Field(description="InferenceService: one that Mooring did not make; nothing is asked of it."),
    ] = "ModelDeployment"
    name: Annotated[str, forms.DEPLOYMENT_NAME.field, Field(description="Its name; it is in this namespace.")]


_DEPLOYED = "has(self.target) && (!has(self.target.kind) || self.target.kind == 'ModelDeployment')"
_OF_FILES = "has(self.window) && has(self.window.uri) && has(self.baseline) && has(self.baseline.uri)"
_ACTS = (
    "has(self.actions) && size(self.actions) > 0",
    "has(self.performance) && has(self.performance.actions) && size(self.performance.actions) > 0",
    "has(self.operation) && has(self.operation.actions) && size(self.operation.actions) > 0",
)


def _rule(rule: str, message: str) -> JsonValue:
    return {"rule": f"({_DEPLOYED}) || {rule}", "message": f"spec.{message}"}


RULES: list[JsonValue] = [
    _rule(f"!({' || '.join(f'({acts})' for acts in _ACTS)})", NEEDS_REVISIONS),
    _rule(f"({_OF_FILES})", NEEDS_FILES),
    _rule("!has(self.performance)", NEEDS_REQUESTS),
    _rule("!has(self.retrain)", NEEDS_MODEL),
]
"""What the API server refuses of a spec whose target is no ModelDeployment."""
