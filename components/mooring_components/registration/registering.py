"""Register a model's version, once: its content is the key.

A version that has the digest of the files among its tags is that model's, whoever registered it and however often a
run is repeated. Two that register the same files at once agree on the lower version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mooring_components.registration.client import DENIED, Mlflow, RegistryRefused

ALIAS = "challenger"
DIGEST_TAG = "mooring.digest"
_RUN_TAG = "mooring.run"
_MOST_FOUND = 100
# MLflow's own limits.
_LONGEST_DATASET_DIGEST = 36


@dataclass(frozen=True)
class Entry:
    """What is registered.

    Attributes:
        name: of the registered model.
        version: where the model is a version already; empty: one is found by its digest, or made.
        source: the address of the files.
        digest: of the files, "sha256:..."; empty where it is not known.
        run_id: the run that tested or trained it.
        passed: whether it met every gate: only what did is registered anew, and becomes the challenger.
        metrics, params: what MLflow shows of the run.
        datasets: name, digest and address of each; the digest may be missing.
        tags: of the version.
        card: Markdown.
        alias: points to the version.
        purpose: what the run and the datasets were for: a test, or a training.
    """

    name: str
    version: str
    source: str
    digest: str
    run_id: str
    passed: bool
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    datasets: Sequence[Mapping[str, str]]
    card: str
    now_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    alias: str = ALIAS
    purpose: Literal["test", "training"] = "test"

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags of the version, with those by which it is found."""
        found_by = {DIGEST_TAG: self.digest, _RUN_TAG: self.run_id}
        return {**self.tags, **{name: value for name, value in found_by.items() if value}}


def register(mlflow: Mlflow, entry: Entry) -> tuple[str | None, str]:
    """Bring the registry to where the entry is a version of it, with run, tags and alias.

    Doing it again changes nothing, wherever it was interrupted.

    Returns:
        The version, or None where there is none; and a sentence on what was left alone, empty where nothing was.

    Raises:
        RegistryRefused: it cannot be registered.
        RegistryUnavailable: the registry does not answer.
    """
    version = entry.version or _known(mlflow, entry)
    if version is None and not entry.passed:
        return None, "it did not pass"
    if version is None and not entry.digest:
        raise RegistryRefused(
            "the digest of its files is not known, so that nothing would tell one version from another: give "
            "spec.model.digest"
        )
    run = _log_run(mlflow, entry)
    if version is None:
        version = _create(mlflow, entry, run)
    for name, value in entry.all_tags.items():
        mlflow.post("model-versions/set-tag", name=entry.name, version=version, key=name, value=value)
    if not entry.passed:
        return version, "it did not pass"
    return version, _point_alias(mlflow, entry.name, version, entry.alias)


def _known(mlflow: Mlflow, entry: Entry) -> str | None:
    """Give the lowest version with these files; None where there is none."""
    if not entry.digest:
        return None
    asked = f"name = '{entry.name}' and tags.`{DIGEST_TAG}` = '{entry.digest}'"
    found = mlflow.get("model-versions/search", filter=asked, max_results=_MOST_FOUND).get(
        "model_versions", []
    )
    return min((str(each["version"]) for each in found), key=int, default=None)


def _create(mlflow: Mlflow, entry: Entry, run: str) -> str:
    # Who may not make models may make versions of one that is there, which the next answer tells.
    _unless_it_is_there(mlflow, "registered-models/create", DENIED, name=entry.name)
    answer = mlflow.post(
        "model-versions/create",
        name=entry.name,
        source=entry.source,
        run_id=run,
        description=entry.card,
        tags=[{"key": key, "value": value} for key, value in entry.all_tags.items()],
    )
    made = str(answer["model_version"]["version"])
    first = _known(mlflow, entry) or made
    if first != made:
        # Another run registered the same files meanwhile.
        mlflow.delete("model-versions/delete", name=entry.name, version=made)
    return first


def _log_run(mlflow: Mlflow, entry: Entry) -> str:
    """Give the MLflow run that has the metrics of this test: the one that an earlier attempt began, or a new one."""
    experiment = _experiment(mlflow, f"mooring/{entry.name}")
    found = mlflow.post(
        "runs/search",
        experiment_ids=[experiment],
        filter=f"tags.`{_RUN_TAG}` = '{entry.run_id}'",
        max_results=1,
    )
    if runs := found.get("runs"):
        info = runs[0]["info"]
        if info["status"] == "FINISHED":
            return str(info["run_id"])
    else:
        tags = {_RUN_TAG: entry.run_id, "mlflow.note.content": entry.card}
        made = mlflow.post(
            "runs/create",
            experiment_id=experiment,
            start_time=entry.now_ms,
            run_name=f"{entry.purpose} {entry.run_id}",
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        info = made["run"]["info"]
    run = str(info["run_id"])
    mlflow.post(
        "runs/log-batch",
        run_id=run,
        metrics=[
            {"key": name, "value": value, "timestamp": entry.now_ms, "step": 0}
            for name, value in entry.metrics.items()
        ],
        params=[{"key": name, "value": value} for name, value in entry.params.items() if value],
    )
    datasets = [_dataset(dataset, entry.purpose) for dataset in entry.datasets]
    if datasets:
        mlflow.post("runs/log-inputs", run_id=run, datasets=datasets)
    mlflow.post("runs/update", run_id=run, status="FINISHED", end_time=entry.now_ms)
    return run


def _dataset(dataset: Mapping[str, str], purpose: str) -> dict[str, Any]:
    # Its digest is shorter than ours, which goes into a tag whole.
    digest = dataset["digest"]
    tags = {"mlflow.data.context": purpose, **({DIGEST_TAG: digest} if digest else {})}
    return {
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "dataset": {
            "name": dataset["name"],
            # MLflow wants one: of rows that nobody has read, their address stands for them.
            "digest": (digest.removeprefix("sha256:") or _fingerprint(dataset["source"]))[
                :_LONGEST_DATASET_DIGEST
            ],
            "source_type": "uri",
            "source": dataset["source"],
        },
    }


def _fingerprint(text: str) -> str:
    """Give 64 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _experiment(mlflow: Mlflow, name: str) -> str:
    found = mlflow.find("experiments/get-by-name", experiment_name=name)
    if found is None:
        _unless_it_is_there(mlflow, "experiments/create", name=name)
        found = mlflow.get("experiments/get-by-name", experiment_name=name)
    experiment = found["experiment"]
    if experiment.get("lifecycle_stage") == "deleted":
        raise RegistryRefused(f"the experiment {name} is deleted: restore it, or delete it for good")
    return str(experiment["experiment_id"])


def _point_alias(mlflow: Mlflow, name: str, version: str, alias: str) -> str:
    """Have the alias point to the version, unless that is at a later one."""
    found = mlflow.find("registered-models/alias", name=name, alias=alias)
    if found is not None:
        at = str(found["model_version"]["version"])
        if at == version:
            return ""
        if int(at) > int(version):
            return f"alias {alias} stays at version {at}, which is later"
    mlflow.post("registered-models/alias", name=name, alias=alias, version=version)
    return ""


def _unless_it_is_there(mlflow: Mlflow, path: str, *passed_over: str, **body: str) -> None:
    try:
        mlflow.post(path, **body)
    except RegistryRefused as refusal:
        if refusal.code not in ("RESOURCE_ALREADY_EXISTS", *passed_over):
            raise
