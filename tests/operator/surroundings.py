"""What surrounds the operator, played: KServe, CI, the registry of models, evaluations of drift."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mooring_artifacts.public_keys import key_id
from mooring_artifacts.run_documents import describe_failure
from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.adapters.pipelines import PipelinesUnavailable
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.rollout.situation import Resolved
from mooring_operator.planning.runs.run import RunRequest, RunState

from cluster.serving.http_routes import belongs_to, http_routes, taken_up
from cluster.serving.routing import standard_weights
from tests.operator.objects import Objects


def digest(address: str) -> str:
    return f"sha256:{address.encode().hex().ljust(64, '0')[:64]}"


def every_time() -> Callable[[str], bool]:
    return lambda address: True


@dataclass
class Runs:
    """The port `Pipelines`, with its runs in a folder, where a restarted or another process finds them."""

    folder: Path
    away: bool = False

    async def launch(self, run: RunRequest) -> None:
        self._answer()
        with (self.folder / "launches").open("a") as launches:
            launches.write(f"{run.run_id}\n")
        if not self._file(run.run_id).exists():
            self.keep(run.run_id, {"phase": "Running", "parameters": dict(run.parameters)})

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        self._answer()
        return RunState(run_id, self.read(run_id)["phase"], "") if self._file(run_id).exists() else None

    async def terminate(self, namespace: str, run_id: str) -> None:
        self._answer()
        if self._file(run_id).exists() and (run := self.read(run_id))["phase"] == "Running":
            self.keep(run_id, {**run, "phase": "Canceled"})

    narrow = False

    def url(self, namespace: str, run_id: str) -> str:
        return f"http://kfp/#/runs/details/{run_id}"

    @property
    def ids(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.json"))

    @property
    def tested(self) -> list[str]:
        """The address of the model of every run: one that is here twice was tested twice."""
        parameters = [self.read(run_id)["parameters"] for run_id in self.ids]
        return sorted(each["model_uri"] for each in parameters if "model_uri" in each)

    @property
    def launches(self) -> list[str]:
        """The run ids of all calls, repeated ones too."""
        path = self.folder / "launches"
        return path.read_text().split() if path.exists() else []

    def read(self, run_id: str) -> dict[str, Any]:
        return json.loads(self._file(run_id).read_text())

    def keep(self, run_id: str, run: dict[str, Any]) -> None:
        draft = self.folder / f"{run_id}.draft"
        draft.write_text(json.dumps(run))
        draft.rename(self._file(run_id))

    def _file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _answer(self) -> None:
        if self.away:
            raise PipelinesUnavailable("cannot reach KFP at http://kfp")


@dataclass
class CI:
    """Ends the runs: those of good models with a verdict that passes, while nobody holds them."""

    runs: Runs
    good: Callable[[str], bool] = field(default_factory=every_time)
    held: bool = False
    unregistered: str = ""
    """Why nothing can be registered; what passes is, where nothing is in the way."""
    registered: list[str] = field(default_factory=list)
    """Addresses of the models that are versions, the first one first."""
    signer: str = ""
    """Who has signed every model; a run that is asked for others, or for nobody, finds no signature."""
    failures: list[str] = field(default_factory=list)
    """The reasons by which the next runs fail, one each."""

    def play(self) -> None:
        for run_id in [] if self.held else self.runs.ids:
            run = self.runs.read(run_id)
            if run["phase"] == "Running" and "verdict_uri" in run["parameters"]:
                failed = bool(self.failures)
                if failed:
                    self._fail(run_id, run["parameters"], self.failures.pop(0))
                else:
                    self._judge(run_id, run["parameters"])
                self.runs.keep(run_id, {**run, "phase": "Failed" if failed else "Succeeded"})

    def _fail(self, run_id: str, parameters: dict[str, Any], reason: str) -> None:
        failure = describe_failure(run_id, reason, "validate-data: it failed")
        write_document(parameters["verdict_uri"], json.loads(failure.to_json()))

    def _judge(self, run_id: str, parameters: dict[str, Any]) -> None:
        model = parameters["model_uri"]
        accuracy = 0.95 if self.good(model) else 0.5
        message = f"accuracy {accuracy} is below the minimum 0.9"
        violation = {"metric": "accuracy", "value": accuracy, "min": 0.9, "max": None, "message": message}
        verdict = {
            "schemaVersion": 1,
            "runId": run_id,
            "modelUri": model,
            "modelDigest": digest(model),
            "passed": self.good(model),
            "metrics": {"accuracy": accuracy},
            "violations": [] if self.good(model) else [violation],
        }
        for asked in parameters.get("demands", {}).get("signers", ()):
            if asked["name"] == self.signer:
                key = key_id(asked["key"])
                verdict["signature"] = {"verified": True, "signer": self.signer, "key": key}
        if parameters.get("registers") and self.good(model):
            verdict["registration"] = self._register(parameters["registration"], model)
        write_document(parameters["verdict_uri"], verdict)

    def _register(self, wanted: dict[str, Any], model: str) -> dict[str, str]:
        if self.unregistered:
            return {"name": wanted["name"], "problem": self.unregistered}
        if model not in self.registered:
            self.registered.append(model)
        version = wanted["version"] or str(1 + self.registered.index(model))
        return {"name": wanted["name"], "version": version}


@dataclass
class Models:
    """The port `Registry`: every address points to a model, but those that the test takes away."""

    missing: set[str] = field(default_factory=set)
    away: bool = False

    async def resolve(self, model: ModelSpec, namespace: str) -> Resolved:
        if self.away:
            raise RegistryUnavailable("cannot reach the registry at http://registry")
        if model.uri in self.missing:
            raise ModelNotFound("ModelNotFound", f"there is no {model.uri}")
        version = model.uri.removeprefix("models:/") if model.uri.startswith("models:/") else None
        return Resolved(model.uri, digest(model.uri), version)


@dataclass
class KServe:
    """Writes the InferenceServices' status: what is startable is ready, and has its share of the traffic."""

    objects: Objects
    startable: Callable[[str], bool] = field(default_factory=every_time)
    weights: list[tuple[str, int]] = field(default_factory=list)
    """What each canary was given, in order: (address of the model, percent)."""
    stable: list[str] = field(default_factory=list)
    """What had the rest, in order."""
    routing: bool = True
    """Whether it writes HTTPRoutes, as with the Gateway API enabled."""
    sharing: bool = True
    """Whether they have a canary's weight, as since version 0.21."""
    gateway: Literal["takes up", "refuses", "is away"] = "takes up"
    reports: Manifest = field(default_factory=dict)
    """The ``modelStatus`` of every InferenceService."""

    def play(self) -> None:
        for service in self.objects.list(INFERENCE_SERVICE):
            metadata = service["metadata"]
            ref = Ref(INFERENCE_SERVICE, metadata["namespace"], metadata["name"])
            status = self._status(service)
            self._route(service, status["canaryStatuses"])
            self.objects.set_status(ref, status)

    def _route(self, service: Manifest, canaries: list[Manifest]) -> None:
        """Write the routes of Standard mode, and have their gateway take them up."""
        name, stable = service["metadata"]["name"], service["spec"]["predictor"].get("name")
        if stable is None or not self.routing:
            return
        weights = standard_weights(
            f"{name}-{stable}-predictor",
            [
                (f"{name}-{canary['name']}-predictor", canary["trafficPercent"], canary["ready"])
                for canary in canaries
                if self.sharing
            ],
        )
        for route in http_routes(service, weights):
            ref = Ref(HTTP_ROUTE, route["metadata"]["namespace"], route["metadata"]["name"])
            left = self.objects.find(ref)
            if left is not None and not belongs_to(left, service):
                # Kubernetes removes what belongs to nobody any more.
                self.objects.delete(ref)
            made = self.objects.apply(ref, route, "kserve")
            if self.gateway == "is away":
                continue
            answer = taken_up(made, "2026-03-01T12:00:00Z")
            if self.gateway == "refuses":
                said = {"status": "False", "reason": "NotAllowedByListeners", "message": "no such namespace"}
                answer["parents"][0]["conditions"][0] |= said
            self.objects.set_status(ref, answer)

    def _status(self, service: Manifest) -> Manifest:
        predictor = service["spec"]["predictor"]["model"]["storageUri"]
        _note(self.stable, predictor)
        canaries = []
        for entry in service["spec"].get("canary", []):
            model, percent = entry["predictor"]["model"]["storageUri"], entry["trafficPercent"]
            _note(self.weights, (model, percent))
            name, ready = entry["predictor"]["name"], self.startable(model)
            canaries.append({"name": name, "ready": ready, "trafficPercent": percent if ready else 0})
        ready = self.startable(predictor)
        why = {} if ready else {"message": "back-off restarting failed container"}
        return {
            "url": f"http://{service['metadata']['name']}.example",
            "conditions": [{"type": "Ready", "status": str(ready), **why}],
            "canaryStatuses": canaries,
            **({"modelStatus": self.reports} if self.reports else {}),
        }


def _note(entries: list[Any], entry: Any) -> None:
    if entries[-1:] != [entry]:
        entries.append(entry)


@dataclass
class Evaluations:
    """Ends the runs that evaluate drift, and finds what the test says, while nobody holds them."""

    runs: Runs
    drifted: bool = False
    changes: list[dict[str, Any]] = field(default_factory=list)
    """What the schema changes are."""
    error: tuple[str, str] | None = None
    """Reason and message of a report that says that nothing could be found."""
    fails: bool = False
    """Whether the runs fail, without a word."""
    held: bool = False
    made: list[dict[str, Any]] = field(default_factory=list)
    """The questions of the runs that have ended."""

    def play(self) -> None:
        for run_id in [] if self.held else self.runs.ids:
            run = self.runs.read(run_id)
            parameters = run["parameters"]
            if run["phase"] != "Running" or "report_uri" not in parameters:
                continue
            self.made.append(parameters["question"])
            if not self.fails:
                write_document(parameters["report_uri"], self._report(run_id))
            self.runs.keep(run_id, {**run, "phase": "Failed" if self.fails else "Succeeded"})

    def _report(self, run_id: str) -> dict[str, Any]:
        head = {"schemaVersion": 1, "runId": run_id}
        if self.error is not None:
            reason, message = self.error
            return {**head, "error": {"reason": reason, "message": message}}
        return {
            **head,
            "baselineRows": 1000,
            "windowRows": 500,
            "windowDigest": f"sha256:{len(self.made):064x}",
            "driftedFeatures": ["age"] if self.drifted else [],
            "features": [
                _feature("age", 0.6 if self.drifted else 0.02, drifted=self.drifted),
                _feature("income", 0.01, drifted=False),
            ],
            "schemaChanges": self.changes,
            "page": True,
        }


def _feature(name: str, statistic: float, *, drifted: bool) -> dict[str, Any]:
    test = {"statistic": statistic, "pValue": 0.001}
    return {
        "name": name,
        "kind": "number",
        "rows": 500,
        "missing": 0.0,
        "drifted": drifted,
        "ks": test,
        "psi": test,
        "reason": "",
    }


def write_document(uri: str, document: dict[str, Any]) -> None:
    """Write what a run writes."""
    path = Path(uri.removeprefix("file://"))
    # What a test has the operator ask for must not land anywhere on the machine.
    assert path.is_relative_to(tempfile.gettempdir()), f"{uri} is no place of a test's"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
