"""What a DriftMonitor has trained when drift begins or performance drops, and what its status says of that."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.ci import CIPipeline
from mooring_operator.api.drift_actions import A_SET, Cause, Causes
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.resources import Resources
from mooring_operator.api.runs import RunStateName
from mooring_operator.api.types import Duration, Message, Model, StatusModel, Time

MOST_A_DAY = 24
TrainingRows = Literal["Baseline", "Window"]
Stage = Literal["Rehearsed", "Training", "Registering", "Done", "Failed"]

_ONE_TRAINER = "needs image or pipeline, and not both"
_Word = Annotated[str, Field(max_length=1024)]


class Retrain(Model):
    """A training, once for each time that drift begins or performance drops.

    What it makes is registered, or offered by its address.
    """

    image: Annotated[
        str | None,
        forms.IMAGE.field,
        Field(description="Image that trains; its last argument says as JSON on which rows, and where to."),
    ] = None
    command: Annotated[
        list[_Word],
        Field(description="What is run instead of the image's; Kubeflow Pipelines needs it.", max_length=16),
    ] = []
    args: Annotated[
        list[_Word],
        Field(description="Arguments before the last, passed as they are written.", max_length=16),
    ] = []
    pipeline: Annotated[
        CIPipeline | None,
        Field(description="Your own pipeline that trains, where runs are Kubeflow Pipelines'."),
    ] = None
    output: Annotated[
        str,
        forms.ADDRESS.field,
        Field(
            description="Folder for the models: s3://, gs:// or az://. Each run has one of its own below it."
        ),
    ]
    convert: Annotated[
        Literal["ONNX"] | None,
        Field(
            description="Format that an exported program (.pt2) is converted to before it is registered, if that gives "
            "the same; as it is when left out."
        ),
    ] = None
    rows: Annotated[
        list[TrainingRows],
        Field(
            description="Rows to train on: those of the baseline, and of the window that drifted.",
            min_length=1,
            max_length=2,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ["Baseline", "Window"]
    history: Annotated[
        Duration | None,
        Field(
            description="How much of what the target keeps is the window, until the end of the one that drifted; that "
            "one alone when left out."
        ),
    ] = None
    register_as: Annotated[
        str | None,
        forms.MODEL_NAME.field,
        Field(description="Registered model in MLflow of which the new model becomes a version."),
    ] = None
    alias: Annotated[str, forms.ALIAS.field, Field(description="Alias that points to that version then.")] = (
        "challenger"
    )
    per_day: Annotated[
        int, Field(ge=1, le=MOST_A_DAY, description="How many trainings may begin within 24 hours.")
    ] = 1
    cooldown: Annotated[
        Duration,
        Field(
            description="How long after one began no other begins; drift that lasts until then is acted on."
        ),
    ] = timedelta(hours=6)
    timeout: Annotated[
        Duration,
        Field(description="How long it may take; at most as long as the administrator lets any run."),
    ] = timedelta(hours=1)
    on: Annotated[
        Causes | None,
        Field(
            description="What it begins on: Drift, Performance, Operation; the first two when left out.",
            json_schema_extra=A_SET,
        ),
    ] = None
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="ServiceAccount of the pods, with access to the rows and to output."),
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="Secret whose keys become variables of the pods; on multi-user Kubeflow Pipelines those that "
            "are known."
        ),
    ] = None
    resources: Annotated[
        Resources | None,
        Field(description="CPU and memory of the training; the administrator's defaults when left out."),
    ] = None

    @property
    def causes(self) -> list[Cause]:
        """What it begins on."""
        return ["Drift", "Performance"] if self.on is None else self.on

    @model_validator(mode="after")
    def _has_one_trainer(self) -> "Retrain":
        if (self.image is None) == (self.pipeline is None):
            raise ValueError(_ONE_TRAINER)
        return self

    @property
    def title(self) -> str:
        """What trains, in words: digests and long names are cut."""
        if self.pipeline is not None:
            return f"pipeline {self.pipeline.name}"
        return f"image {(self.image or '').partition('@')[0][:128]}"


_RULES: list[JsonValue] = [
    {"rule": "has(self.image) != has(self.pipeline)", "message": f"spec.retrain {_ONE_TRAINER}"}
]
Retrain.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}


class Retraining(StatusModel):
    """The last training: where it stands, and what came out."""

    alarm: Annotated[Time, Field(description="When what it is for began; once for each.")]
    asked: Annotated[
        str,
        Field(
            description="spec.retrain by a fingerprint: one that failed is tried with another.", max_length=16
        ),
    ]
    stage: Annotated[Stage, Field(description="Where it stands, in one word.")]
    run_id: Annotated[
        str, Field(description="Run that trains: the KFP run, or Job mooring-run-RUNID.", max_length=64)
    ] = ""
    registration_id: Annotated[
        str, Field(description="Run after it that looks at the model and registers it.", max_length=64)
    ] = ""
    url: Annotated[str, Field(description="The run of this stage in the KFP UI.", max_length=2048)] = ""
    state: Annotated[RunStateName, Field(description="State of the run of this stage.")] = "Pending"
    baseline: Annotated[Sought | None, Field(description="Rows of the baseline.")] = None
    window: Annotated[Sought | None, Field(description="Rows of the window.")] = None
    labels: Annotated[Sought | None, Field(description="Labels of these.")] = None
    model_uri: Annotated[
        str, Field(description="Where the model is, or is going to be.", max_length=2048)
    ] = ""
    digest: Annotated[str, Field(description="Identity of its files.", max_length=71)] = ""
    registered: Annotated[str, Field(description="Its version in the registry.", max_length=160)] = ""
    message: Annotated[Message, Field(description="What came out, or why it failed, and what to do.")] = ""
    started_at: Annotated[Time, Field(description="When it began.")]
    stage_at: Annotated[Time, Field(description="When this stage began.")]
    seen_at: Annotated[Time | None, Field(description="When the run of this stage was first seen.")] = None
    ended_at: Annotated[Time | None, Field(description="When it was first seen to have ended.")] = None
    held_until: Annotated[
        Time | None, Field(description="Until when drift that has begun since starts no other.")
    ] = None
    starts: Annotated[
        list[Time], Field(description="When those of the last 24 hours began.", max_length=MOST_A_DAY)
    ] = []

    @property
    def current(self) -> str:
        """The run of this stage; empty where none goes on."""
        return {"Training": self.run_id, "Registering": self.registration_id}.get(self.stage, "")
