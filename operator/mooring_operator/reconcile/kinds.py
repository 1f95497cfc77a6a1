"""Our kinds, as the API server addresses them."""

from mooring_operator.adapters.cluster import Kind, Ref
from mooring_operator.api import API_VERSION

MODEL_DEPLOYMENT = Kind(API_VERSION, "ModelDeployment", "modeldeployments")
DRIFT_MONITOR = Kind(API_VERSION, "DriftMonitor", "driftmonitors")
MODEL_POLICY = Kind(API_VERSION, "ModelPolicy", "modelpolicies")


def ref(kind: Kind, namespace: str, name: str) -> Ref:
    """Give the address of one object."""
    return Ref(kind, namespace, name)
