"""The CustomResourceDefinitions, from the pydantic models."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel

from mooring_operator.api import forms
from mooring_operator.api.analysis_template import (
    AnalysisTemplateSpec,
    ClusterAnalysisTemplateSpec,
    TemplateStatus,
)
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.model_policy import ModelPolicySpec, PolicyStatus
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.schema import Schema, structural_schema

GROUP = "mooring.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with -o wide only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class Resource:
    """One kind of our API group."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    scope: Literal["Namespaced", "Cluster"] = "Namespaced"
    columns: list[Column] = field(default_factory=list)
    rules: list[dict[str, str]] = field(default_factory=list)


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

MODEL_DEPLOYMENT = Resource(
    kind="ModelDeployment",
    plural="modeldeployments",
    short_name="mdep",
    description="A model that is tested, served by KServe and rolled out by canary.",
    spec=ModelDeploymentSpec,
    status=ModelDeploymentStatus,
    columns=[
        Column("Phase", ".status.phase", description="Where the deployment stands."),
        Column("Stable", ".status.stable.revision", description="Revision that is promoted."),
        Column("Candidate", ".status.candidate.revision", description="Revision that is on its way."),
        Column(
            "Weight", ".status.candidate.weight", "integer", description="Candidate's percent of traffic."
        ),
        Column(
            "Routed",
            ".status.candidate.routed",
            "integer",
            priority=1,
            description="Percent of traffic that the candidate was last seen to get.",
        ),
        Column("URL", ".status.url", description="Where the model answers."),
        _AGE,
        Column("Message", ".status.message", priority=1, description="Why, in a sentence."),
    ],
    rules=[
        {
            "rule": f"size(self.metadata.name) <= {forms.DEPLOYMENT_NAME.longest} && "
            f"self.metadata.name.matches('{forms.DEPLOYMENT_NAME.pattern}')",
            "messageExpression": "'metadata.name: ' + self.metadata.name + ' must be at most "
            f"{forms.DEPLOYMENT_NAME.longest} characters, a to z, 0 to 9 and -, and start with a letter: "
            "KServe makes longer names from it'",
        },
        {
            "rule": "!has(self.spec.serving) || !has(self.spec.serving.transformer) || "
            f"size(self.metadata.name) < {forms.DEPLOYMENT_NAME.longest}",
            "messageExpression": "'metadata.name: ' + self.metadata.name + ' must be at most "
            f"{forms.DEPLOYMENT_NAME.longest - 1} characters before spec.serving.transformer'",
        },
    ],
)

DRIFT_MONITOR = Resource(
    kind="DriftMonitor",
    plural="driftmonitors",
    short_name="drift",
    description="Compares a model's live traffic with a baseline, and acts when it drifts.",
    spec=DriftMonitorSpec,
    status=DriftMonitorStatus,
    columns=[
        Column("Phase", ".status.phase", description="Where the monitor stands."),
        Column("Target", ".spec.target.name", description="What is watched; empty for two data sets."),
        Column(
            "Drifted", ".status.evaluation.featuresDrifted", "integer", description="Features that drifted."
        ),
        Column("Tested", ".status.evaluation.featuresTested", "integer", description="Features compared."),
        Column("Evaluated", ".status.evaluation.time", "date", description="Time since the last evaluation."),
        _AGE,
        Column("Message", ".status.message", priority=1, description="Why, in a sentence."),
    ],
)


def _ready(what: str) -> list[Column]:
    """Give the columns of what is Ready or not, and nothing else."""
    condition = '.status.conditions[?(@.type=="Ready")]'
    return [
        Column("Ready", f"{condition}.status", description=what),
        _AGE,
        Column("Message", f"{condition}.message", priority=1, description="What cannot, and why."),
    ]


_READY = _ready("Whether every part of the policy can be applied.")

MODEL_POLICY = Resource(
    kind="ModelPolicy",
    plural="modelpolicies",
    short_name="mpol",
    description="Governance rules that a model must satisfy before it is served.",
    spec=ModelPolicySpec,
    status=PolicyStatus,
    columns=[
        Column("Minimum", ".spec.minimumScore", "number", description="Share of rules to meet."),
        *_READY,
    ],
)

CLUSTER_MODEL_POLICY = Resource(
    kind="ClusterModelPolicy",
    plural="clustermodelpolicies",
    short_name="cmpol",
    description="What an administrator demands of every model in some namespaces before it is served.",
    spec=ClusterModelPolicySpec,
    status=PolicyStatus,
    scope="Cluster",
    columns=[
        Column("CI", ".spec.requireCI", "boolean", description="Whether nothing untested is served."),
        *_READY,
    ],
)

_TEMPLATE_COLUMNS = _ready("Whether deployments can be judged by it.")
_TEMPLATE_RULES = [
    {
        "rule": f"size(self.metadata.name) <= {forms.LABEL.longest} && !self.metadata.name.contains('.')",
        "messageExpression": "'metadata.name: ' + self.metadata.name + ' must be at most "
        f"{forms.LABEL.longest} characters, without a dot: deployments name it'",
    }
]

ANALYSIS_TEMPLATE = Resource(
    kind="AnalysisTemplate",
    plural="analysistemplates",
    short_name="antpl",
    description="What new revisions are judged by, for deployments of the namespace that name it.",
    spec=AnalysisTemplateSpec,
    status=TemplateStatus,
    columns=_TEMPLATE_COLUMNS,
    rules=_TEMPLATE_RULES,
)

CLUSTER_ANALYSIS_TEMPLATE = Resource(
    kind="ClusterAnalysisTemplate",
    plural="clusteranalysistemplates",
    short_name="cantpl",
    description="What new revisions are judged by, for deployments of every namespace that name it.",
    spec=ClusterAnalysisTemplateSpec,
    status=TemplateStatus,
    scope="Cluster",
    columns=_TEMPLATE_COLUMNS,
    rules=_TEMPLATE_RULES,
)

RESOURCES = (
    MODEL_DEPLOYMENT,
    DRIFT_MONITOR,
    MODEL_POLICY,
    CLUSTER_MODEL_POLICY,
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
)


def custom_resource_definition(resource: Resource) -> dict[str, Any]:
    """Give the CustomResourceDefinition of `resource` as the API server takes it."""
    properties: dict[str, Schema] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": structural_schema(resource.spec),
    }
    # A new object must not read as done before the operator has looked at it.
    properties["status"] = {
        **structural_schema(resource.status, defaults=False),
        "default": {"observedGeneration": -1},
    }
    schema: Schema = {
        "type": "object",
        "description": resource.description,
        "required": ["spec"],
        "properties": properties,
    }
    if resource.rules:
        schema["x-kubernetes-validations"] = resource.rules
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "mooring"},
        },
        "spec": {
            "group": GROUP,
            "scope": resource.scope,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": ["mooring"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    out: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        out["description"] = column.description
    if column.priority:
        out["priority"] = column.priority
    return out


def render(resource: Resource) -> str:
    """Give the YAML file of `resource`'s CustomResourceDefinition."""
    head = "# Generated from mooring_operator.api by `make generate`. Do not edit.\n"
    return head + yaml.safe_dump(custom_resource_definition(resource), sort_keys=False, width=110)


def write(folder: Path) -> list[Path]:
    """Write the files that differ into `folder`; give their paths."""
    changed = [path for path, text in _files(folder) if not path.exists() or path.read_text() != text]
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in _files(folder):
        if path in changed:
            path.write_text(text)
    return changed


def differing(folder: Path) -> list[Path]:
    """Give the files of `folder` that are not what the models say."""
    return [path for path, text in _files(folder) if not path.exists() or path.read_text() != text]


def _files(folder: Path) -> list[tuple[Path, str]]:
    return [(folder / f"{resource.plural}.yaml", render(resource)) for resource in RESOURCES]
