"""``agreements`` of a template: how many copies of requests the new revision answers otherwise than the stable one."""

from datetime import timedelta
from typing import Annotated, get_args

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.analysis import MetricName
from mooring_operator.api.types import Duration, Model

MOST_AGREEMENTS = 2
_TAKEN = tuple(get_args(MetricName))
_NAME_TAKEN = f"an agreement is not called {', '.join(_TAKEN)}"
_OFTEN = "an interval is 30s at least"


class Agreement(Model):
    """Requests and their copies, as both revisions keep them: how many may be answered otherwise."""

    name: Annotated[str, forms.QUERY.field, Field(description="Its name, unique in the template.")]
    points: Annotated[
        float,
        Field(gt=0, lt=100, description="Percent of the pairs that may differ, at most."),
    ] = 1.0
    output: Annotated[
        str | None, forms.CAPTURED.field, Field(description="Output that is compared; the model's first.")
    ] = None
    tolerance: Annotated[
        float | None,
        Field(
            ge=0,
            description="What numbers may differ by. Without it, classes and texts have to be equal, and of scores "
            "the largest is the class.",
        ),
    ] = None
    interval: Annotated[Duration, Field(description="Time between two looks; 30s at least.")] = timedelta(
        minutes=2
    )
    delay: Annotated[
        Duration,
        Field(description="How long after it was answered a request is in a file that can be read, at most."),
    ] = timedelta(minutes=2)
    timeout: Annotated[Duration, Field(description="How long one look may take.")] = timedelta(minutes=5)
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="ServiceAccount of the pods that read the files."),
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="Secret whose keys become their variables, like AWS_ACCESS_KEY_ID."),
    ] = None

    @model_validator(mode="after")
    def _makes_sense(self) -> "Agreement":
        if self.name in _TAKEN:
            raise ValueError(_NAME_TAKEN)
        if self.interval < timedelta(seconds=30):
            raise ValueError(_OFTEN)
        return self


_RULES: list[JsonValue] = [
    {"rule": f"!(self.name in {list(_TAKEN)})", "message": _NAME_TAKEN},
    {
        "rule": "!has(self.interval) || duration(self.interval) >= duration('30s')",
        "message": f"interval: {_OFTEN}",
    },
]
Agreement.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}
