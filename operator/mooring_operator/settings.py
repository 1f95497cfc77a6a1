"""The operator's settings, from environment variables that start with MOORING_."""

import os
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from mooring_artifacts.uris import is_web_address, parse
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mooring_operator.api import forms
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.runs.run import TENANT

PREFIX = "MOORING_"
_POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECRET = ("TOKEN", "PASSWORD", "SECRET")


def _pod_namespace() -> str:
    """Give the namespace that the operator runs in; `default` outside a cluster."""
    if namespace := os.environ.get("POD_NAMESPACE"):
        return namespace
    try:
        return _POD_NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"


_HTTP_URL = r"^https?://[^\s/]+\S*$"
_NAMED = rf"^{forms.LABEL.pattern[1:-1]}/{forms.OBJECT_NAME.pattern[1:-1]}$"
_RUN_NAMESPACES = r"^([a-z0-9][a-z0-9-]*)?\{namespace\}([a-z0-9-]*[a-z0-9])?$"


class Settings(BaseSettings):
    """What can be set: MOORING_NAMESPACES, MOORING_WORKERS and so on. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="a comma-separated list of namespaces"
    )
    workers: int = Field(8, ge=1, le=256, description="a whole number from 1 to 256")
    reconcile_deadline: float = Field(60.0, ge=5, le=3600, description="seconds from 5 to 3600")
    health_host: str = Field("0.0.0.0", description="an address of this host")  # noqa: S104 - probes come from outside
    health_port: int = Field(8080, ge=0, le=65535, description="a port from 0 (any) to 65535")
    leader_election: bool = Field(True, description="true or false")
    lease_name: str = Field(
        "mooring-operator",
        pattern=forms.LABEL.pattern,
        max_length=forms.LABEL.longest,
        description="a Kubernetes name",
    )
    lease_namespace: str = Field(
        default_factory=_pod_namespace,
        pattern=forms.LABEL.pattern,
        max_length=forms.LABEL.longest,
        description="the name of a namespace",
    )
    resync_interval: float = Field(600.0, ge=10, le=86400, description="seconds from 10 to 86400")
    pipelines: Literal["Jobs", "KFP", "None"] | None = Field(
        None,
        description="Jobs, KFP or None: where runs run; KFP where there is MOORING_KFP_ENDPOINT, else Jobs",
    )
    kfp_multi_user: bool = Field(False, description="true or false")
    kfp_endpoint: str | None = Field(None, pattern=_HTTP_URL, description="an http:// or https:// address")
    # It stands in every status beside what else an object may hold.
    kfp_ui_url: str | None = Field(
        None,
        pattern=_HTTP_URL,
        max_length=512,
        description="an http:// or https:// address of 512 characters at most",
    )
    artifact_root: str | None = Field(None, description="a URI such as s3://bucket/mooring")
    components_image: str = Field(
        RunPods.image, pattern=r"^\S+$", description="the image that runs pipelines and their steps"
    )
    grants_file: Path | None = Field(
        None, description="the path of a file of grants, as docs/security.md says"
    )
    signers_folder: Path | None = Field(
        None, description="the path of a folder of public keys, NAME.pem, as docs/policies.md says"
    )
    file_addresses: bool = Field(False, description="true or false; true is for development")
    run_longest: float = Field(14400, ge=60, le=518400, description="seconds from 60 to 518400, six days")
    run_retention: float = Field(86400, ge=60, le=2592000, description="seconds from 60 to 2592000")
    runs_per_namespace: int = Field(
        RunPods.per_namespace, ge=1, le=1000, description="a whole number from 1 to 1000"
    )
    run_namespaces: str = Field(
        TENANT,
        pattern=_RUN_NAMESPACES,
        description="the name of a namespace with {namespace} in it, such as {namespace}-runs",
    )
    run_cpu: str = Field(RunPods.cpu, pattern=forms.QUANTITY.pattern, description="a quantity such as 500m")
    run_memory: str = Field(
        RunPods.memory, pattern=forms.QUANTITY.pattern, description="a quantity such as 2Gi"
    )
    run_scratch: str = Field(
        RunPods.scratch, pattern=forms.QUANTITY.pattern, description="a quantity such as 10Gi"
    )
    mlflow_tracking_uri: str | None = Field(
        None, pattern=_HTTP_URL, description="an http:// or https:// address"
    )
    mlflow_user: str | None = Field(
        None, pattern=r"^[^\s:]+$", description="the name of a user, without blanks and colons"
    )
    mlflow_token_file: Path | None = Field(None, description="the path of a readable file")
    staging_root: str | None = Field(
        None, description="an address with {namespace} in it, such as s3://models/{namespace}/staged"
    )
    audit_root: str | None = Field(
        None, description="an address such as s3://audit/production; empty: nothing is recorded"
    )
    metrics: Literal["Prometheus", "Pods", "None"] | None = Field(
        None,
        description="Prometheus, Pods or None: who is asked what revisions counted; Prometheus where there is "
        "MOORING_PROMETHEUS_URL, else Pods",
    )
    prometheus_url: str | None = Field(None, pattern=_HTTP_URL, description="an http:// or https:// address")
    prometheus_token_file: Path | None = Field(None, description="the path of a readable file")
    prometheus_ca_file: Path | None = Field(None, description="the path of a readable file of certificates")
    prometheus_timeout: float = Field(15.0, ge=1, le=120, description="seconds from 1 to 120")
    prometheus_retries: int = Field(2, ge=0, le=5, description="a whole number from 0 to 5")
    prometheus_interval: int = Field(30, ge=1, le=3600, description="whole seconds from 1 to 3600")
    prometheus_lag: int = Field(10, ge=0, le=600, description="whole seconds from 0 to 600")
    inference_image: str = Field(
        Images.inference, pattern=r"^\S+$", description="the image of the serving runtime"
    )
    storage_initializer_image: str = Field(
        Images.storage_initializer, pattern=r"^\S+$", description="KServe's image that fetches models"
    )
    cluster_policies: bool = Field(True, description="true or false")
    rule_seconds: float = Field(
        1.0, ge=0.1, le=60, description="seconds of CPU time for the rules of a policy, from 0.1 to 60"
    )
    rule_memory: int = Field(
        128, ge=64, le=4096, description="MiB of memory for the rules of a policy, from 64 to 4096"
    )
    rule_processes: int = Field(2, ge=1, le=16, description="a whole number of processes from 1 to 16")
    default_runtimes: Annotated[Mapping[str, str], NoDecode] = Field(
        {}, description="a comma-separated list of FORMAT=RUNTIME, such as onnx=mooring-inference"
    )
    gateway: str | None = Field(
        None, pattern=_NAMED, description="a Gateway as NAMESPACE/NAME, such as gateways/front"
    )
    gateway_service: str | None = Field(
        None,
        pattern=_NAMED,
        description="the Service of that Gateway's proxies as NAMESPACE/NAME, such as projectcontour/envoy",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Literal["json", "text"] = Field("json", description="json or text")
    kubeconfig: Path | None = Field(None, description="the path of a readable file")

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("default_runtimes", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        entries = [entry for entry in value.split(",") if entry.strip()]
        pairs = [[part.strip() for part in entry.split("=")] for entry in entries]
        if any(len(pair) != 2 for pair in pairs) or len({pair[0] for pair in pairs}) < len(pairs):
            raise ValueError(f"{value!r} does not name one runtime for each format")
        return dict(pairs)

    @field_validator("default_runtimes")
    @classmethod
    def _are_runtimes(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for model_format, runtime in value.items():
            if not (forms.LABEL.fits(model_format) and forms.OBJECT_NAME.fits(runtime)):
                raise ValueError(f"{model_format}={runtime} is not a format and the name of a runtime")
        return value

    @field_validator("namespaces")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not forms.LABEL.fits(name):
                raise ValueError(f"{name!r} is not the name of a namespace")
        return value

    @field_validator("artifact_root", "audit_root")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            parse(value, whole_bucket=True)
        return value

    @field_validator("staging_root")
    @classmethod
    def _is_of_each_namespace(cls, value: str | None) -> str | None:
        if value is not None:
            parse(value.replace(TENANT, "a"))
            if TENANT not in value:
                raise ValueError(f"{value!r} has no {TENANT}: tenants would write into each other's models")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("kfp_endpoint", "kfp_ui_url", "mlflow_tracking_uri", "prometheus_url")
    @classmethod
    def _has_a_host_and_a_port(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("its host or its port is none")
        return value

    @field_validator("mlflow_token_file", "prometheus_token_file", "prometheus_ca_file", "kubeconfig")
    @classmethod
    def _is_readable(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError(f"{value} cannot be read")
        return value

    @field_validator("prometheus_ca_file")
    @classmethod
    def _has_certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except OSError as error:
                raise ValueError(f"{value} has no certificates") from error
        return value

    @property
    def backend(self) -> Literal["Jobs", "KFP", "None"]:
        """Where runs run."""
        if self.pipelines is not None:
            return self.pipelines
        if self.kfp_endpoint is not None:
            return "KFP"
        return "Jobs" if self.artifact_root is not None else "None"

    @property
    def counted_by(self) -> Literal["Prometheus", "Pods", "None"]:
        """Who is asked what revisions counted."""
        return self.metrics or ("Pods" if self.prometheus_url is None else "Prometheus")

    @model_validator(mode="after")
    def _prometheus_is_there(self) -> Self:
        if self.metrics == "Prometheus" and self.prometheus_url is None:
            raise ValueError(
                "MOORING_METRICS=Prometheus needs MOORING_PROMETHEUS_URL: an http:// or https:// address"
            )
        return self

    @model_validator(mode="after")
    def _runs_can_run(self) -> Self:
        backend = f"MOORING_PIPELINES={self.backend}"
        if self.gateway_service is not None and self.gateway is None:
            raise ValueError(
                f"MOORING_GATEWAY_SERVICE={self.gateway_service!r} needs MOORING_GATEWAY: the Gateway that it is of"
            )
        if self.backend == "KFP" and self.kfp_endpoint is None:
            raise ValueError(f"{backend} needs MOORING_KFP_ENDPOINT: an http:// or https:// address")
        if self.backend != "None" and self.artifact_root is None:
            raise ValueError(f"{backend} needs MOORING_ARTIFACT_ROOT: a URI such as s3://bucket/mooring")
        if self.backend == "Jobs" and str(self.artifact_root).startswith("file:"):
            raise ValueError(
                f"MOORING_ARTIFACT_ROOT={self.artifact_root!r}: no Job can write to the operator's disk; with "
                f"{backend} it must be an s3://, gs:// or az:// address"
            )
        if self.backend == "Jobs" and str(self.staging_root).startswith("file:"):
            raise ValueError(
                f"MOORING_STAGING_ROOT={self.staging_root!r}: nothing serves what a Job writes to its own disk; with "
                f"{backend} it must be an s3://, gs:// or az:// address"
            )
        if self.kfp_multi_user and self.backend != "KFP":
            raise ValueError(f"MOORING_KFP_MULTI_USER=true needs MOORING_PIPELINES=KFP, not {self.backend}")
        if self.run_namespaces != TENANT and self.backend == "KFP" and not self.kfp_multi_user:
            raise ValueError(
                f"MOORING_RUN_NAMESPACES={self.run_namespaces!r} needs MOORING_KFP_MULTI_USER=true, or "
                "MOORING_PIPELINES=Jobs: other runs of Kubeflow Pipelines are all in one namespace"
            )
        return self


def problems(error: ValidationError) -> list[str]:
    """Say in one line per problem which variable has which value, and which are allowed."""
    lines = []
    for entry in error.errors(include_url=False, include_context=False):
        if not entry["loc"]:
            lines.append(entry["msg"].removeprefix("Value error, "))
            continue
        field = str(entry["loc"][0])
        variable = PREFIX + field.upper()
        allowed = Settings.model_fields[field].description
        lines.append(f"{variable}={_shown(variable, entry['input'])!r}: must be {allowed}")
    return list(dict.fromkeys(lines))


def _shown(variable: str, value: Any) -> str:
    if any(word in variable for word in _SECRET) and not variable.endswith("_FILE"):
        return "(hidden)"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def read_settings(values: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings, or end the process with exit code 2 and one line per problem on stderr."""
    try:
        return Settings(**(values or {}))
    except ValidationError as error:
        _refuse(problems(error))


def _refuse(lines: list[str]) -> NoReturn:
    for line in lines:
        print(f"mooring-operator: {line}", file=sys.stderr)
    raise SystemExit(2)
