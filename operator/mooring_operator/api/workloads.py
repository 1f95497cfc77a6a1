"""``spec.batch`` and ``spec.stream``: the stable revision over files and over messages, besides requests."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mooring_operator.api import forms
from mooring_operator.api.resources import Resources
from mooring_operator.api.types import Duration, Model, Schedule

CredentialsSecret = Annotated[
    str | None,
    forms.OBJECT_NAME.field,
    Field(description="Secret whose keys become variables of the pods, such as AWS_ACCESS_KEY_ID."),
]


class BatchSpec(Model):
    """Files of rows that the stable revision scores on a schedule: a CronJob."""

    schedule: Annotated[
        Schedule,
        Field(description="Cron's five fields: minute, hour, day, month, weekday; or @daily, @every 1h, ..."),
    ]
    time_zone: Annotated[
        str | None,
        forms.TIME_ZONE.field,
        Field(description="IANA name such as Europe/Berlin; the cluster's when left out."),
    ] = None
    suspend: Annotated[bool, Field(description="Whether no new runs are started.")] = False
    input: Annotated[
        str,
        forms.FILES.field,
        Field(description="File or folder with the rows: Parquet, CSV or JSON lines."),
    ]
    output: Annotated[str, forms.FILES.field, Field(description="Folder for the results, as Parquet.")]
    format: Annotated[
        Literal["auto", "parquet", "csv", "jsonl"],
        Field(description="Of the input; auto: by each file's name."),
    ] = "auto"
    id_column: Annotated[
        str | None,
        forms.COLUMN.field,
        Field(description="Column that is copied to the results, to join by."),
    ] = None
    batch_size: Annotated[
        int | None, Field(ge=1, le=100000, description="Rows of one call of the model, at most.")
    ] = None
    shards: Annotated[
        int, Field(ge=1, le=1000, description="Pods that share the files; all run at the same time.")
    ] = 1
    timeout: Annotated[
        Duration | None, Field(description="How long one run may take; as long as it needs when left out.")
    ] = None
    history_limit: Annotated[
        int, Field(ge=0, le=50, description="How many finished runs are kept, and how many failed ones.")
    ] = 3
    resources: Annotated[
        Resources | None, Field(description="Of each pod; spec.serving.resources when left out.")
    ] = None
    credentials_secret: CredentialsSecret = None

    @model_validator(mode="after")
    def _writes_elsewhere(self) -> "BatchSpec":
        if f"{self.output}/".startswith(f"{self.input.removesuffix('/')}/"):
            raise ValueError(
                f"output {self.output} lies inside input {self.input}: results would be read as rows"
            )
        return self

    @field_validator("time_zone")
    @classmethod
    def _is_somewhere(cls, zone: str | None) -> str | None:
        if zone is not None and zone.lower() == "local":
            raise ValueError("must be an IANA name, like Europe/Berlin")
        return zone


BatchSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.timeZone) || self.timeZone.lowerAscii() != 'local'",
            "messageExpression": "'spec.batch.timeZone ' + self.timeZone + ' must be an IANA name, like Europe/Berlin'",
        },
        {
            "rule": "!(self.output + '/').startsWith(self.input.endsWith('/') ? self.input : self.input + '/')",
            "messageExpression": "'spec.batch.output ' + self.output + ' lies inside input ' + self.input + "
            "': results would be read as rows'",
        },
    ]
}


class StreamSpec(Model):
    """Messages that the stable revision answers, each at least once: a Deployment."""

    source: Annotated[
        str,
        forms.MESSAGES.field,
        Field(
            description="Where messages come from: redis://HOST/STREAM, nats://HOST/SUBJECT?stream=NAME or "
            "kafka://HOST/TOPIC. Credentials: MOORING_STREAM_SOURCE of credentialsSecret.",
        ),
    ]
    sink: Annotated[
        str,
        forms.MESSAGES.field,
        Field(
            description="Where answers go, as source; MOORING_STREAM_SINK.",
        ),
    ]
    dead_letters: Annotated[
        str | None,
        forms.MESSAGES.field,
        Field(
            description="Where messages go that cannot be answered; the sink gets an error when left out.",
        ),
    ] = None
    group: Annotated[
        str | None,
        forms.CONSUMER_GROUP.field,
        Field(
            description="Group of consumers that share the source; the name of the ModelDeployment when left out."
        ),
    ] = None
    replicas: Annotated[int, Field(ge=0, le=1000, description="Pods that share the messages.")] = 1
    batch_size: Annotated[
        int | None, Field(ge=1, le=100000, description="Messages taken at once, at most.")
    ] = None
    resources: Annotated[
        Resources | None, Field(description="Of each pod; spec.serving.resources when left out.")
    ] = None
    credentials_secret: CredentialsSecret = None

    @model_validator(mode="after")
    def _writes_elsewhere(self) -> "StreamSpec":
        if self.source == self.sink:
            raise ValueError(f"sink {self.sink} is the source; answers would be answered")
        if self.source == self.dead_letters:
            raise ValueError(f"deadLetters {self.dead_letters} is the source; they would be tried for ever")
        return self


StreamSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "self.source != self.sink",
            "messageExpression": "'spec.stream.sink ' + self.sink + ' is the source; answers would be answered'",
        },
        {
            "rule": "!has(self.deadLetters) || self.source != self.deadLetters",
            "messageExpression": "'spec.stream.deadLetters ' + self.deadLetters + ' is the source; "
            "they would be tried for ever'",
        },
    ]
}
