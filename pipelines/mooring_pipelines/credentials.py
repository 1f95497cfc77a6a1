"""The Secret of a run on Kubeflow Pipelines: some of its keys become variables of the steps' pods.

There a pod gets no Secret as a whole, so that the keys that something reads are named, and none has to be there.
Where all steps run in one pod, that has the Secret.
"""

from __future__ import annotations

from kfp import kubernetes
from kfp.dsl import PipelineTask, pipeline_channel

NO_SECRET = "mooring-no-credentials"  # noqa: S105 - a name
"""The name of a Secret that is nowhere: a name has to be given, and it is optional."""
KEYS = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_SAS_KEY",
)


def opens_addresses(task: PipelineTask, secret: pipeline_channel.PipelineParameterChannel) -> None:
    """Have a task open the addresses in its parameters: each time, with the credentials in the run's namespace.

    What an address holds may change between runs with the same parameters, so that no result is taken from the cache.
    `secret` is the parameter that names the Secret.
    """
    task.set_caching_options(False)
    kubernetes.use_secret_as_env(task, secret, {key: key for key in KEYS}, optional=True)
