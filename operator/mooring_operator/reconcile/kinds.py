"""Our kinds, as the API server addresses them."""

from mooring_operator.adapters.cluster import Kind
from mooring_operator.api import API_VERSION
from mooring_operator.planning.manifests.workloads import Workload

MODEL_DEPLOYMENT = Kind(API_VERSION, "ModelDeployment", "modeldeployments")
DRIFT_MONITOR = Kind(API_VERSION, "DriftMonitor", "driftmonitors")
MODEL_POLICY = Kind(API_VERSION, "ModelPolicy", "modelpolicies")
CLUSTER_MODEL_POLICY = Kind(API_VERSION, "ClusterModelPolicy", "clustermodelpolicies", namespaced=False)
ANALYSIS_TEMPLATE = Kind(API_VERSION, "AnalysisTemplate", "analysistemplates")
CLUSTER_ANALYSIS_TEMPLATE = Kind(
    API_VERSION, "ClusterAnalysisTemplate", "clusteranalysistemplates", namespaced=False
)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
WORKLOADS: dict[Workload, Kind] = {
    "batch": Kind("batch/v1", "CronJob", "cronjobs"),
    "stream": Kind("apps/v1", "Deployment", "deployments"),
    "disruption_budget": Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
}
