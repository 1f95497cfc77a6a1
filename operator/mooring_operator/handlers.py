"""What kopf watches, and whom it tells. No handler here decides anything."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import kopf
from lightkube import ConfigError, SingleConfig

from mooring_operator.adapters.api_server import authorization
from mooring_operator.adapters.kubernetes import PAGE
from mooring_operator.api.crds import GROUP
from mooring_operator.api.names import MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.runtime.intake import Intake

_BEHIND = (
    ("serving.kserve.io", "v1beta1", "inferenceservices"),
    ("", "v1", "services"),
    # These have the labels of their Services.
    ("discovery.k8s.io", "v1", "endpointslices"),
    # Ours, and KServe's, which have the labels of their InferenceServices.
    ("gateway.networking.k8s.io", "v1", "httproutes"),
)
"""What is made for ModelDeployments and may change without them: group, version and plural of each kind."""
_RUNTIMES = ("serving.kserve.io", "v1alpha1")
"""Group and version of what models run on."""
_OURS = {MANAGED_BY: MANAGED_BY_VALUE}


class _Backoffs:
    """Seconds between kopf's attempts: for ever, for an outage must not end the watching."""

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8, 13, 21), repeat(30))


class _NothingRemembered(kopf.DiffBaseStorage):
    """Keeps kopf from copying every object to compare it with what it was: no handler here asks for that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def register(
    registry: kopf.OperatorRegistry,
    intake: Intake,
    config: SingleConfig,
    *,
    namespaced: bool,
    cluster_policies: bool,
) -> None:
    """Register all handlers.

    An operator of some namespaces that does without ClusterModelPolicies asks for nothing in the cluster: neither
    which namespaces there are, nor which kinds come later.
    """
    _register_activities(registry, config, scanning=cluster_policies or not namespaced)
    _register_ours(registry, intake)
    _register_what_is_behind(registry, intake)
    _register_runtimes(registry, intake, of_the_cluster=cluster_policies or not namespaced)
    if cluster_policies:
        _register_cluster_policies(registry, intake)


def _register_activities(registry: kopf.OperatorRegistry, config: SingleConfig, *, scanning: bool) -> None:
    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.networking.request_timeout = 30
        settings.networking.connect_timeout = 5
        settings.networking.error_backoffs = _Backoffs()
        settings.networking.enforce_retry_after = True
        # Proxies of the environment, as for the other calls, and as kubectl does.
        settings.networking.trust_env = True
        settings.watching.server_timeout = 600
        settings.watching.inactivity_timeout = 70
        # What a tenant makes is as large and as many as they like: few objects are in memory at the same time, and
        # none stays there for a next event.
        settings.watching.chunk_size = PAGE
        settings.queueing.idle_timeout = 0.1
        for kind in _BEHIND:
            settings.watching.label_selectors[kind] = f"{MANAGED_BY}={MANAGED_BY_VALUE}"
        settings.peering.standalone = True
        settings.scanning.disabled = not scanning
        # Level-triggered: nothing is remembered in the objects, and nothing is posted about them.
        settings.posting.enabled = False
        settings.persistence.finalizer = f"{GROUP}/finalizer"
        settings.persistence.diffbase_storage = _NothingRemembered()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        """Log in with the configuration of the other calls; kopf asks again when a token is refused."""
        try:
            return await _connection_info(config)
        except ConfigError as error:
            raise kopf.LoginError(str(error)) from error


def _register_ours(registry: kopf.OperatorRegistry, intake: Intake) -> None:
    @kopf.on.event(GROUP, "modeldeployments", registry=registry)
    async def model_deployment(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "ModelDeployment", event)

    @kopf.on.event(GROUP, "driftmonitors", registry=registry)
    async def drift_monitor(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "DriftMonitor", event)

    @kopf.on.event(GROUP, "modelpolicies", registry=registry)
    async def model_policy(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "ModelPolicy", event)

    @kopf.on.event(GROUP, "analysistemplates", registry=registry)
    async def analysis_template(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "AnalysisTemplate", event)


def _register_cluster_policies(registry: kopf.OperatorRegistry, intake: Intake) -> None:
    @kopf.on.event(GROUP, "clustermodelpolicies", registry=registry)
    async def cluster_model_policy(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "ClusterModelPolicy", event)

    @kopf.on.event(GROUP, "clusteranalysistemplates", registry=registry)
    async def cluster_analysis_template(event: kopf.RawEvent, **_: Any) -> None:
        _tell(intake, "ClusterAnalysisTemplate", event)

    @kopf.on.event("", "v1", "namespaces", registry=registry)
    async def namespace(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            intake.namespace_deleted(_resource(event))
        else:
            intake.namespace_changed(_resource(event))


def _register_what_is_behind(registry: kopf.OperatorRegistry, intake: Intake) -> None:
    async def made_for_a_deployment(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] == "DELETED":
            intake.behind_gone(_resource(event))
        else:
            intake.behind_changed(_resource(event), listed=_is_listed(event))

    for kind in _BEHIND:
        kopf.on.event(*kind, labels=_OURS, registry=registry)(made_for_a_deployment)


def _register_runtimes(registry: kopf.OperatorRegistry, intake: Intake, *, of_the_cluster: bool) -> None:
    @kopf.on.event(*_RUNTIMES, "servingruntimes", registry=registry)
    async def serving_runtime(event: kopf.RawEvent, **_: Any) -> None:
        _tell_of_runtime(intake, "ServingRuntime", event)

    if not of_the_cluster:
        return

    @kopf.on.event(*_RUNTIMES, "clusterservingruntimes", registry=registry)
    async def cluster_serving_runtime(event: kopf.RawEvent, **_: Any) -> None:
        _tell_of_runtime(intake, "ClusterServingRuntime", event)


def _tell_of_runtime(intake: Intake, kind: str, event: kopf.RawEvent) -> None:
    if event["type"] == "DELETED":
        intake.runtime_deleted(kind, _resource(event))
    else:
        intake.runtime_changed(kind, _resource(event))


def _tell(intake: Intake, kind: str, event: kopf.RawEvent) -> None:
    if event["type"] == "DELETED":
        intake.deleted(kind, _resource(event))
    else:
        intake.changed(kind, _resource(event), listed=_is_listed(event))


def _is_listed(event: kopf.RawEvent) -> bool:
    """Whether the object is of the list by which a watch begins, or begins anew after a break."""
    return event["type"] is None


def _resource(event: kopf.RawEvent) -> dict[str, Any]:
    return dict(event["object"])


async def _connection_info(config: SingleConfig) -> kopf.ConnectionInfo:
    cluster, user = config.cluster, config.user
    scheme, _, token = (await authorization(config) or "").partition(" ")
    return kopf.ConnectionInfo(
        server=cluster.server,
        ca_path=_path(config, cluster.certificate_auth),
        ca_data=cluster.certificate_auth_data,
        insecure=cluster.insecure,
        scheme=scheme or None,
        token=token or None,
        certificate_path=_path(config, user.client_cert if user else None),
        certificate_data=user.client_cert_data if user else None,
        private_key_path=_path(config, user.client_key if user else None),
        private_key_data=user.client_key_data if user else None,
        default_namespace=config.namespace,
        trust_env=True,
    )


def _path(config: SingleConfig, name: str | None) -> str | None:
    return None if name is None else str(config.abs_file(name))
