"""``spec.serving.capture``: which requests a runtime keeps, and where."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model

MOST_FEATURES = 256
MOST_MASKS = 64
"""A variable of a process has 128 KiB at most."""

HMAC_KEY = "MOORING_CAPTURE_HMAC_KEY"
"""The variable with the key of hmac masks, which comes from a Secret."""
NEEDS_KEY = (
    f"capture.mask: hmac needs the variable {HMAC_KEY} of a Secret: name it in spec.serving.envFrom, or in "
    "spec.serving.env with valueFrom"
)
_RISING = "has edges that do not rise: write each once, the smallest first, like bucket:18,30,65"
_SHORT = "is shorter than an hour, and files are of an hour: write 1h or more"


_MASK_RULE: JsonValue = {
    # An edge twice is left to the model below: looking each up among the others costs more than a rule may.
    "rule": "self.all(key, !self[key].startsWith('bucket:') || self[key].substring(7).split(',').map(e, double(e))"
    ".isSorted())",
    "messageExpression": f"'spec.serving.capture.mask: a bucket {_RISING}'",
}


class Capture(Model):
    """Requests with their answers, kept as Parquet by Mooring's runtime. Of the revision: a change is rolled out."""

    store: Annotated[
        str,
        forms.CAPTURE_STORE.field,
        Field(
            description="Folder, below which are deployment=NAME/revision=REVISION. The model's pods write there, with "
            "their ServiceAccount or the variables of a Secret in envFrom."
        ),
    ]
    sample: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Share of requests, by a keyed hash of their ids (MOORING_CAPTURE_KEY, of a Secret).",
        ),
    ] = 1.0
    features: Annotated[
        list[Annotated[str, forms.CAPTURED.field]],
        Field(description="Features or inputs to keep; all when left out.", max_length=MOST_FEATURES),
    ] = []
    mask: Annotated[
        dict[Annotated[str, forms.CAPTURED.field], Annotated[str, forms.MASK.field]],
        Field(
            description="What is done to a column before it leaves the process: drop, hmac or bucket:EDGE,EDGE,...",
            max_length=MOST_MASKS,
            json_schema_extra={"x-kubernetes-validations": [_MASK_RULE]},
        ),
    ] = {}
    retention: Annotated[
        Duration | None,
        Field(
            description="When files are deleted, an hour at least; never when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": "duration(self) >= duration('1h')",
                        "messageExpression": f"'spec.serving.capture.retention ' + self + ' {_SHORT}'",
                    }
                ]
            },
        ),
    ] = None

    @property
    def needs_key(self) -> bool:
        """Whether a mask needs the key that `HMAC_KEY` holds."""
        return "hmac" in self.mask.values()

    @model_validator(mode="after")
    def _edges_rise(self) -> "Capture":
        for column, rule in self.mask.items():
            kind, _, edges = rule.partition(":")
            if kind == "bucket" and any(low >= high for low, high in pairwise(map(float, edges.split(",")))):
                raise ValueError(f"mask: {rule!r} of {column!r} {_RISING}")
        return self

    @model_validator(mode="after")
    def _lasts_an_hour(self) -> "Capture":
        if self.retention is not None and self.retention < timedelta(hours=1):
            raise ValueError(f"retention {_SHORT}")
        return self
