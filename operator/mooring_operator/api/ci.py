"""How a model is tested before any of it is served: ``spec.ci`` of a ``ModelDeployment``."""

from datetime import timedelta
from typing import Annotated, Literal

from mooring_artifacts import gates
from mooring_artifacts.data_schema import is_address, parse_schema_text
from mooring_artifacts.importances import MOST_EXPLAINED
from mooring_artifacts.uris import redact
from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.resources import Resources
from mooring_operator.api.types import Duration, Model

# More stand in features.json beside the model: a spec is kept in etcd.
MOST_COLUMNS = 24


class InputColumns(Model):
    """Which columns feed an input of the model."""

    name: Annotated[str, forms.FEATURE.field, Field(description="The input.")]
    columns: Annotated[
        list[Annotated[str, forms.FEATURE.field]],
        Field(
            description="Its columns in the order of the model's features.",
            min_length=1,
            max_length=MOST_COLUMNS,
        ),
    ]


def _check_schema(text: str) -> str:
    """Refuse what is neither a schema nor an address.

    Raises:
        ValueError: the text is neither.
    """
    if not is_address(text):
        parse_schema_text(text)
    elif not forms.ADDRESS.fits(text):
        raise ValueError(f"{redact(text)} is not {forms.ADDRESS.allowed}")
    return text


class TestData(Model):
    """Rows with known answers."""

    uri: Annotated[
        str,
        forms.ADDRESS.field,
        Field(description="Test rows (Parquet, Arrow, CSV or JSON lines): s3://, gs://, az:// or file://."),
    ]
    label_column: Annotated[
        str,
        forms.COLUMN.field,
        Field(description="Column with the right answer; all other columns may be features."),
    ] = "label"
    digest: Annotated[
        str | None,
        forms.DIGEST.field,
        Field(
            description="Content that the files must have (sha256:HEX of their manifest); another is tested anew."
        ),
    ] = None
    schema_: Annotated[
        str | None,
        forms.ROWS.field,
        AfterValidator(_check_schema),
        Field(
            alias="schema",
            description="What the rows must be, in YAML or JSON, or the address of a file with it.",
        ),
    ] = None
    inputs: Annotated[
        list[InputColumns],
        Field(
            description="Columns by input of the model, at most 24 in all. Left out: features.json, columns of the "
            "inputs' names, or for one input all columns of its kind.",
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    output: Annotated[
        str | None,
        forms.FEATURE.field,
        Field(
            description="The model's output that is compared with the label. Left out: its labels, and its scores."
        ),
    ] = None
    classes: Annotated[
        list[Annotated[str, forms.FEATURE.field]],
        Field(
            description="Labels that the model's scores stand for, in order. Left out: 0, 1, ..., or the rows' labels "
            "in order.",
            max_length=24,
        ),
    ] = []
    task: Annotated[
        Literal["Classification", "Regression"] | None,
        Field(
            description="What the label is. Left out: Regression for floats, except 0.0 and 1.0 beside probabilities, "
            "or several scores."
        ),
    ] = None
    slices: Annotated[
        list[Annotated[str, forms.COLUMN.field]],
        Field(description="Columns by whose values quality is measured too.", max_length=4),
    ] = []

    @model_validator(mode="after")
    def _has_few_columns(self) -> "TestData":
        if (count := sum(len(feed.columns) for feed in self.inputs)) > MOST_COLUMNS:
            raise ValueError(f"inputs name {count} columns; {MOST_COLUMNS} are allowed in all")
        return self


TestData.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"!has(self.inputs) || self.inputs.map(i, i.columns.size()).sum() <= {MOST_COLUMNS}",
            "message": f"spec.ci.testData.inputs name more than {MOST_COLUMNS} columns in all",
        }
    ]
}


def gate_rules(field: str, other: str = "") -> list[JsonValue]:
    """Give the rules of a gate's bounds, with messages that name the list that the gate is in.

    `other` is a condition under which it needs no bounds.
    """
    return [
        {
            "rule": "has(self.min) || has(self.max)" + (f" || {other}" if other else ""),
            "messageExpression": f"'{field}: the gate on ' + self.metric + ' needs min, max or both'",
        },
        {
            "rule": "!has(self.min) || !has(self.max) || self.min <= self.max",
            "messageExpression": f"'{field}: the gate on %s has min %s above max %s'"
            ".format([self.metric, self.min, self.max])",
        },
    ]


class Gate(gates.TestGate):
    """A limit that a measured metric must keep, or the champion's value that it must reach."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *gate_rules("spec.ci.gates", "has(self.notWorseThan)"),
                {
                    "rule": f"!has(self.notWorseThan) || self.metric in {list(gates.COMPARABLE)}",
                    "messageExpression": "'spec.ci.gates: the gate on ' + self.metric + ' has notWorseThan, which is "
                    f"for {', '.join(gates.COMPARABLE)}'",
                },
                {
                    "rule": f"!has(self.slice) || (self.metric in {list(gates.SLICED)} && !has(self.notWorseThan))",
                    "messageExpression": "'spec.ci.gates: the gate on ' + self.metric + ' has slice, which is for "
                    f"{' and '.join(gates.SLICED)} without notWorseThan'",
                },
            ]
        }
    )


class Fairness(Model):
    """Groups that the model has to treat alike."""

    column: Annotated[
        str, forms.SLICE.field, Field(description="Column of the test data whose values are the groups.")
    ]
    positive: Annotated[
        str | None,
        forms.SLICE.field,
        Field(description="Label that is good to get; of two labels the second when left out."),
    ] = None


class CIPipeline(Model):
    """A pipeline in Kubeflow Pipelines that fulfils Mooring's contract."""

    name: Annotated[str, forms.PIPELINE.field, Field(description="Its name there.")]
    version: Annotated[
        str | None, forms.PIPELINE.field, Field(description="Its version; the newest when left out.")
    ] = None


_NOTHING_ASKED = "asks nothing: it is for target Endpoint"


class CISpec(Model):
    """How a revision is tested before any of it is served: a run of the pipeline model-ci."""

    test_data: Annotated[TestData, Field(description="Rows that the model is tested on.")]
    gates: Annotated[
        list[Gate],
        Field(
            description="Limits that must all hold. Without gates the run only has to succeed.", max_length=32
        ),
    ] = []
    fairness: Annotated[
        Fairness | None,
        Field(description="Groups to compare: demographic parity and equalized odds become metrics."),
    ] = None
    noise: Annotated[
        list[Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]],
        Field(
            description="Noise to add, in standard deviations of each column: noiseStability becomes a metric.",
            max_length=4,
        ),
    ] = []
    explain: Annotated[
        int, Field(ge=0, le=MOST_EXPLAINED, description="Rank features by so many rows of the test data.")
    ] = 0
    pipeline: Annotated[
        CIPipeline | None,
        Field(description="Your own pipeline in place of model-ci, where runs are Kubeflow Pipelines'."),
    ] = None
    target: Annotated[
        Literal["Files", "Endpoint"],
        Field(
            description="What is tested: the files, by Mooring's runtime; or the model as it will be served, on its "
            "runtime and hardware, brought up for the test where no request reaches it."
        ),
    ] = "Files"
    protocol: Annotated[
        Literal["V1", "V2", "OpenAI"],
        Field(
            description="Protocol that it is asked by where the target is Endpoint: KServe's, or OpenAI's API."
        ),
    ] = "V2"
    register_as: Annotated[
        str | None,
        forms.MODEL_NAME.field,
        Field(description="Registered model in MLflow whose version a revision becomes that passes."),
    ] = None
    timeout: Annotated[
        Duration,
        Field(description="How long the run may take; at most as long as the administrator lets any run."),
    ] = timedelta(minutes=30)
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="ServiceAccount of the run's pods, with access to model and test data; that of spec.serving "
            "when left out."
        ),
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="Secret whose keys become variables of the run's pod; on multi-user Kubeflow Pipelines those "
            "that are known."
        ),
    ] = None
    resources: Annotated[
        Resources | None,
        Field(description="CPU and memory of the run's pod; the administrator's defaults when left out."),
    ] = None

    @model_validator(mode="after")
    def _asks_an_endpoint(self) -> "CISpec":
        if self.protocol != "V2" and self.target != "Endpoint":
            raise ValueError(f"protocol {self.protocol} {_NOTHING_ASKED}")
        return self

    @property
    def compares(self) -> bool:
        """Whether some gate compares with the model that serves now."""
        return any(gate.not_worse_than is not None for gate in self.gates)

    @property
    def needs(self) -> tuple[str, ...]:
        """The parameters that a pipeline of the user's own has to take for this test."""
        asked = {
            "champion_uri": self.compares,
            "endpoint": self.target == "Endpoint",
            "registration": self.register_as is not None,
        }
        return tuple(name for name, is_needed in asked.items() if is_needed)


CISpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "self.target == 'Endpoint' || self.protocol == 'V2'",
            "messageExpression": f"'spec.ci.protocol ' + self.protocol + ' {_NOTHING_ASKED}'",
        }
    ]
}
