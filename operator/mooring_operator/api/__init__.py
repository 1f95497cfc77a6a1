"""The custom resources of API group ``mooring.dev``: every field in one place.

The pydantic models here are the single source of truth. ``python -m mooring_operator.api``
writes the CustomResourceDefinitions under ``crds/`` from them.
"""

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

GROUP = "mooring.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "AnalysisTemplateSpec",
    "ClusterAnalysisTemplateSpec",
    "ClusterModelPolicySpec",
    "DriftMonitorSpec",
    "DriftMonitorStatus",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "ModelPolicySpec",
    "PolicyStatus",
    "TemplateStatus",
]
