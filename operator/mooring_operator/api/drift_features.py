"""What a ``DriftMonitor`` declares of features."""

from typing import Annotated

from mooring_artifacts.feature_settings import FeatureType
from pydantic import Field

from mooring_operator.api import forms
from mooring_operator.api.types import Model


class FeatureSetting(Model):
    """What is declared of the features that a pattern fits. Of each setting the first counts that says something."""

    match: Annotated[
        str,
        forms.COLUMN.field,
        Field(description="Name of a column, or a pattern of names: * is any characters, ? is one."),
    ]
    type: Annotated[
        FeatureType | None,
        Field(
            description="What its values are, whatever they are stored as: Number, Category (equal or not, codes "
            "too), Boolean, Timestamp, Text, of which summaries are compared, or Ignored, which leaves it out."
        ),
    ] = None
    distance: Annotated[
        float | None,
        Field(
            ge=0, le=1, description="Distance of its distributions from which it matters; 0.02 when left out."
        ),
    ] = None


FeatureSetting.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.type) || has(self.distance)",
            "message": "a setting of spec.featureSettings needs type, distance or both",
        }
    ]
}
