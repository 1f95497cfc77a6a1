"""Cases of spec.batch and spec.stream."""

from typing import Any

from tests.unit.spec_case import Case


def _batch(**fields: Any) -> dict[str, Any]:
    return {
        "spec.batch": {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores", **fields}
    }


def _stream(**fields: Any) -> dict[str, Any]:
    return {"spec.stream": {"source": "redis://r/in", "sink": "redis://r/out", **fields}}


WORKLOADS = [
    Case("files on a schedule", _batch()),
    Case(
        "files with all that can be said",
        _batch(
            timeZone="Europe/Berlin",
            suspend=True,
            format="csv",
            idColumn="id",
            batchSize=1000,
            shards=8,
            timeout="2h",
            historyLimit=0,
            resources={"limits": {"memory": "2Gi"}},
            credentialsSecret="storage",
        ),
    ),
    Case("no schedule", _batch(schedule=None), False, "spec.batch.schedule"),
    Case("results in the place of the rows", _batch(output="s3://d/rows"), False, "lies inside input"),
    Case("results among the rows", _batch(output="s3://d/rows/out"), False, "lies inside input"),
    Case(
        "results among the rows of a folder",
        _batch(input="s3://d/", output="s3://d/x"),
        False,
        "lies inside input",
    ),
    Case("results beside the rows", _batch(output="s3://d/rows2")),
    Case("rows of a pod's disk", _batch(input="file:///rows"), False, "spec.batch.input"),
    Case("rows from a web site", _batch(input="https://d/rows"), False, "spec.batch.input"),
    Case("a format that is not read", _batch(format="avro"), False, "spec.batch.format"),
    Case("no shards", _batch(shards=0), False, "spec.batch.shards"),
    Case("a run of 90 of nothing", _batch(timeout="90"), False, "spec.batch.timeout"),
    Case(
        "a secret with a blank", _batch(credentialsSecret="my secret"), False, "spec.batch.credentialsSecret"
    ),
    Case("messages", _stream()),
    Case(
        "messages with all that can be said",
        _stream(
            source="nats://n/requests?stream=all",
            sink="kafkas://k/answers",
            deadLetters="kafkas://k/rejected",
            group="digits.v1",
            replicas=0,
            batchSize=64,
            resources={"requests": {"cpu": "100m"}},
            credentialsSecret="messaging",
        ),
    ),
    Case("answers that are asked again", _stream(sink="redis://r/in"), False, "is the source"),
    Case(
        "rejected messages that are tried again", _stream(deadLetters="redis://r/in"), False, "tried for ever"
    ),
    Case("a password in an address", _stream(source="redis://me:secret@r/in"), False, "spec.stream.source"),
    Case("messages of an unknown system", _stream(sink="amqp://r/out"), False, "spec.stream.sink"),
    Case("fewer than no consumers", _stream(replicas=-1), False, "spec.stream.replicas"),
    Case("a group with a blank", _stream(group="my group"), False, "spec.stream.group"),
]
