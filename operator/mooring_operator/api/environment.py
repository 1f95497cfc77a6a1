"""Environment variables of a model's container: said in the spec, or taken from elsewhere in the namespace."""

from typing import Annotated

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Model, Quantity

ObjectName = Annotated[str, forms.OBJECT_NAME.field]


class KeySelector(Model):
    """A key of a Secret or ConfigMap in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the object.")]
    key: Annotated[str, forms.CONFIG_KEY.field, Field(description="Key in it.")]
    optional: Annotated[
        bool, Field(description="Whether pods start without it; they wait for it otherwise.")
    ] = False


class FieldSelector(Model):
    """A field of the pod itself."""

    field_path: Annotated[
        str,
        forms.POD_FIELD.field,
        Field(description="metadata.name, metadata.labels['KEY'], spec.nodeName, status.podIP, ..."),
    ]


class ResourceSelector(Model):
    """What the model's container asks for, or may use."""

    resource: Annotated[
        str, forms.CONTAINER_RESOURCE.field, Field(description="limits.cpu, requests.memory, ...")
    ]
    divisor: Annotated[
        Quantity | None, Field(description="Unit of the value, like 1m or 1Mi; 1 when left out.")
    ] = None


class VariableSource(Model):
    """Where a variable's value comes from: exactly one of the four."""

    secret_key_ref: Annotated[KeySelector | None, Field(description="A key of a Secret.")] = None
    config_map_key_ref: Annotated[KeySelector | None, Field(description="A key of a ConfigMap.")] = None
    field_ref: Annotated[FieldSelector | None, Field(description="A field of the pod.")] = None
    resource_field_ref: Annotated[
        ResourceSelector | None, Field(description="A resource of the container.")
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "VariableSource":
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(_ONE_SOURCE)
        return self


_ONE_SOURCE = "valueFrom has exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef"

VariableSource.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), "
            "has(self.resourceFieldRef)].filter(given, given).size() == 1",
            "message": f"spec.serving.env: {_ONE_SOURCE}",
        }
    ]
}


class EnvVar(Model):
    """An environment variable of the model's container. Its value is passed as it is written: nothing is expanded."""

    name: Annotated[str, forms.VARIABLE.field, Field(description="Variable's name.")]
    value: Annotated[str, Field(description="Variable's value.", max_length=4096)] = ""
    value_from: Annotated[
        VariableSource | None, Field(description="Where the value comes from, instead of value.")
    ] = None

    @model_validator(mode="after")
    def _has_one_value(self) -> "EnvVar":
        if self.value and self.value_from is not None:
            raise ValueError(f"{self.name} has both value and valueFrom; leave one out")
        return self


EnvVar.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.valueFrom) || !has(self.value) || self.value == ''",
            "messageExpression": "'spec.serving.env: ' + self.name + ' has both value and valueFrom; leave one out'",
        }
    ]
}


class ObjectReference(Model):
    """A Secret or ConfigMap in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the object.")]
    optional: Annotated[
        bool, Field(description="Whether pods start without it; they wait for it otherwise.")
    ] = False


class EnvFrom(Model):
    """A Secret or ConfigMap whose keys become variables: exactly one of the two."""

    prefix: Annotated[
        str | None, forms.VARIABLE.field, Field(description="What each variable's name begins with.")
    ] = None
    secret_ref: Annotated[ObjectReference | None, Field(description="The Secret.")] = None
    config_map_ref: Annotated[ObjectReference | None, Field(description="The ConfigMap.")] = None

    @model_validator(mode="after")
    def _is_one(self) -> "EnvFrom":
        if (self.secret_ref is None) == (self.config_map_ref is None):
            raise ValueError(_ONE_OBJECT)
        return self


_ONE_OBJECT = "each of envFrom has exactly one of secretRef and configMapRef"

EnvFrom.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.secretRef) != has(self.configMapRef)",
            "message": f"spec.serving.envFrom: {_ONE_OBJECT}",
        }
    ]
}
