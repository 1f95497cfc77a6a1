"""CPU, memory and GPUs of a container."""

from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.api.types import Model, Quantity

ResourceName = Annotated[str, forms.RESOURCE.field]


class Gpu(Model):
    """GPUs for each replica."""

    count: Annotated[int, Field(ge=1, le=64, description="GPUs for each replica.")]
    resource_name: Annotated[
        str,
        forms.EXTENDED_RESOURCE.field,
        Field(
            description="Extended resource to ask for: nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu, ..."
        ),
    ] = "nvidia.com/gpu"


class Resources(Model):
    """CPU and memory of the model's container; GPUs have a field of their own."""

    requests: Annotated[
        dict[ResourceName, Quantity], Field(description="Least the scheduler must find.", max_length=16)
    ] = {}
    limits: Annotated[
        dict[ResourceName, Quantity], Field(description="Most the container may use.", max_length=16)
    ] = {}

    @model_validator(mode="after")
    def _limits_leave_room(self) -> "Resources":
        for name in _COMPARED:
            least, most = self.requests.get(name), self.limits.get(name)
            if least and most and parse_quantity(least) > parse_quantity(most):
                raise ValueError(f"requests of {name}, {least}, are above its limit {most}")
        return self


# One rule for each: in a loop over the maps, a rule would count as dearer than the API server allows.
_COMPARED = ("cpu", "memory", "ephemeral-storage")


def _leaves_room(name: str) -> JsonValue:
    least, most = f"self.requests['{name}']", f"self.limits['{name}']"
    given = f"has(self.requests) && has(self.limits) && '{name}' in self.requests && '{name}' in self.limits"
    amounts = f"isQuantity(string({least})) && isQuantity(string({most}))"
    return _rule(
        f"!({given} && {amounts}) || !quantity(string({least})).isGreaterThan(quantity(string({most})))",
        f"'requests of {name}, %s, are above its limit %s'.format([{least}, {most}])",
    )


def _rule(rule: str, message: str) -> JsonValue:
    return {"rule": rule, "messageExpression": message}


Resources.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [_leaves_room(name) for name in _COMPARED]
}
