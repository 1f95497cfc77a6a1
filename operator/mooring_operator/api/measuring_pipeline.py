"""``pipeline`` of a query: a run of Kubeflow Pipelines that finds something out about the new revision."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from mooring_operator.api import forms
from mooring_operator.api.ci import CIPipeline
from mooring_operator.api.types import Duration


class MeasuringPipeline(CIPipeline):
    """A pipeline that fulfils the contract of spec.ci.pipeline: parameters in, a verdict out."""

    service_account_name: Annotated[
        str | None, forms.OBJECT_NAME.field, Field(description="ServiceAccount of the run.")
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="Secret that the run is told of, by parameter credentials_secret."),
    ] = None
    timeout: Annotated[Duration, Field(description="How long one measurement may take.")] = timedelta(
        minutes=30
    )
