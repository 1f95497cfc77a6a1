"""``ModelDeployment``: which model, how it is tested, how it is served, how it is rolled out."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.ci import CISpec
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.routers import ROUTER_RULES
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.types import Duration, Model
from mooring_operator.api.workloads import BatchSpec, StreamSpec


class ModelSpec(Model):
    """The model: what it resolves to is pinned in status before anything is tested or served."""

    uri: Annotated[
        str,
        forms.ADDRESS.field,
        Field(
            description="Where the model is: models:/NAME/VERSION or models:/NAME@ALIAS (MLflow registry), or an "
            "address that KServe can load: s3://, gs://, https://, pvc://, oci://, file:// ...",
        ),
    ]
    digest: Annotated[
        str | None,
        forms.DIGEST.field,
        Field(
            description="Content the model must have (sha256:HEX of its manifest). Computed from s3, gs, az and "
            "file addresses when left out.",
        ),
    ] = None
    signature: Annotated[
        str | None,
        forms.DOCUMENT.field,
        Field(description="Where its signature is: path in its folder, or address. model.sig when left out."),
    ] = None
    format: Annotated[
        str,
        forms.LABEL.field,
        Field(description="Model format by KServe's name: onnx, pytorch, sklearn, xgboost, ..."),
    ]
    format_version: Annotated[
        str | None,
        forms.VERSION.field,
        Field(description="Version of the format, for runtimes that tell them apart."),
    ] = None
    poll_interval: Annotated[
        Duration,
        Field(
            description="How often a models:/NAME@ALIAS address is looked up; a moved alias is a new revision."
        ),
    ] = timedelta(minutes=1)

    promote_alias: Annotated[
        str | None,
        forms.ALIAS.field,
        Field(
            description="Alias in MLflow, as champion, moved to the version that is promoted, and back on a rollback."
        ),
    ] = None

    @model_validator(mode="after")
    def _is_a_registered_model(self) -> "ModelSpec":
        if self.uri.startswith("models:") and not forms.REGISTERED_MODEL.fits(self.uri):
            raise ValueError(f"uri {self.uri!r} is not {forms.REGISTERED_MODEL.allowed}")
        if self.promote_alias is not None and _is_reserved(self.promote_alias):
            raise ValueError(f"promoteAlias {self.promote_alias} {_RESERVED}")
        if ".." in self.uri.split("/"):
            raise ValueError(f"uri {self.uri!r} {_UPWARDS}")
        return self


_RESERVED = "is reserved by MLflow: neither latest nor v and a number can be moved"
_UPWARDS = "has the segment .., which leads out of what was named: write the address without it"


ModelSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"!self.uri.startsWith('models:') || self.uri.matches(r'{forms.REGISTERED_MODEL.pattern}')",
            "messageExpression": f"'spec.model.uri ' + self.uri + ' is not {forms.REGISTERED_MODEL.allowed}'",
        },
        {
            "rule": "!has(self.promoteAlias) || !self.promoteAlias.lowerAscii().matches('^(latest|v[0-9]+)$')",
            "messageExpression": f"'spec.model.promoteAlias ' + self.promoteAlias + ' {_RESERVED}'",
        },
        {
            "rule": "!self.uri.split('/').exists(segment, segment == '..')",
            "messageExpression": f"'spec.model.uri ' + self.uri + ' {_UPWARDS}'",
        },
    ]
}


def _is_reserved(alias: str) -> bool:
    return re.fullmatch("latest|v[0-9]+", alias.lower()) is not None


class ModelDeploymentSpec(Model):
    """What the user wants. Mooring never writes here."""

    model: Annotated[ModelSpec, Field(description="Which model.")]
    ci: Annotated[
        CISpec | None,
        Field(description="How a revision is tested before it is served; untested when left out."),
    ] = None
    policies: Annotated[
        list[Annotated[str, forms.OBJECT_NAME.field]],
        Field(description="ModelPolicies in this namespace that a revision must satisfy.", max_length=16),
    ] = []
    serving: Annotated[ServingSpec, Field(description="How the model runs.")] = ServingSpec()
    rollout: Annotated[RolloutSpec, Field(description="How a new revision takes over.")] = RolloutSpec()
    batch: Annotated[
        BatchSpec | None, Field(description="Files that the stable revision scores on a schedule.")
    ] = None
    stream: Annotated[StreamSpec | None, Field(description="Messages that the stable revision answers.")] = (
        None
    )
    revision_history_limit: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="How many revisions are kept without pods, to go back to within seconds; where the router "
            "serves each revision by itself.",
        ),
    ] = 2
    history_limit: Annotated[
        int, Field(ge=0, le=25, description="How many finished rollouts status.history keeps.")
    ] = 10


ModelDeploymentSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": [*ROUTER_RULES]}
