"""``ModelDeployment.status``: what the operator has done and seen."""

from typing import Annotated, Any, Literal

from mooring_artifacts.digests import DIGEST_PATTERN
from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema

from mooring_operator.api import forms
from mooring_operator.api.analysis import AnalysisStatus
from mooring_operator.api.checks import CheckStatus
from mooring_operator.api.names import AdoptedService
from mooring_operator.api.routers import RouterName
from mooring_operator.api.runs import AbandonedRun, RunStateName
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.types import Condition, Message, Note, OpenObject, StatusModel, Time, UserName

Phase = Literal[
    "Pending",
    "Testing",
    "Deploying",
    "Canary",
    "AwaitingApproval",
    "Paused",
    "Promoting",
    "Promoted",
    "RolledBack",
    "Failed",
]


MAX_APPROVERS = 10
"""How many users status names who approved steps of one revision: the last ones."""


MOST_RETAINED = 14
"""How many revisions without traffic status keeps at most: the longest history, and what is being left."""
LARGEST_RETAINED = 180_000
"""Bytes that they take at most, but for the first: a status has to fit into what the API server stores."""
LARGEST_TESTED = 1_280
"""Bytes of a test that a promoted revision keeps: what measured more is measured again."""


def stored_bytes(part: StatusModel) -> int:
    """Give how many bytes of what the API server stores a part of a status takes."""
    text = part.model_dump_json()
    return len(text.encode()) + 5 * sum(map(text.count, "<>&"))  # which it writes as \u003c and the like


def _check_serving(copy: dict[str, Any]) -> dict[str, Any]:
    """Refuse a copy of spec.serving that cannot be served."""
    try:
        ServingSpec.model_validate(copy)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return copy


class CIStatus(StatusModel):
    """The test of the candidate, or the last one."""

    run_id: Annotated[
        str,
        forms.RUN_ID.field,
        Field(description="Run: the KFP run, or Job mooring-run-RUNID in this namespace."),
    ]
    revision: Annotated[str, Field(description="Revision that the run tests.")]
    url: Annotated[str, Field(description="The run in the KFP UI.")] = ""
    state: Annotated[RunStateName, Field(description="State of the run.")] = "Pending"
    verdict: Annotated[
        Literal["Passed", "Failed"] | None, Field(description="What the run found; none until it has ended.")
    ] = None
    message: Annotated[
        Message, Field(description="Why it failed, what it waits for, or how it was registered.")
    ] = ""
    metrics: Annotated[dict[str, float], Field(description="What the run measured.", max_length=48)] = {}
    test_data_digest: Annotated[str, Field(description="Rows that it read.")] = ""
    facts: Annotated[OpenObject, Field(description="What policies had it look up.")] = {}
    started_at: Annotated[Time, Field(description="When the run was asked for.")]
    seen_at: Annotated[Time | None, Field(description="When the run was first seen where it runs.")] = None
    ended_at: Annotated[Time | None, Field(description="When the run was first seen to have ended.")] = None
    failed_launches: Annotated[int | None, Field(description="How often launching it failed half-way.")] = (
        None
    )
    outages: Annotated[int | None, Field(description="Runs before it that an outage ended.")] = None


class BroughtFiles(StatusModel):
    """What KServe is to bring of a model's files, as the run that tested them found it."""

    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    is_folder: bool = False


class Revision(StatusModel):
    """A model with the way it is served, pinned: all that is needed to serve it again."""

    revision: Annotated[str, Field(description="Hash of what the revision resolves to.")]
    model_uri: Annotated[str, Field(description="Model's address as the spec gave it.")]
    storage_uri: Annotated[str, Field(description="Address that the model is loaded from.")]
    digest: Annotated[str | None, Field(description="Content of the model, where it could be computed.")] = (
        None
    )
    format: Annotated[str, Field(description="Model format.")]
    format_version: Annotated[str | None, Field(description="Version of the format.")] = None
    serving: Annotated[
        OpenObject,
        AfterValidator(_check_serving),
        Field(description="How it is served: a copy of spec.serving as it was."),
    ] = {}
    runtime: Annotated[
        PinnedRuntime | None,
        # A definition has to fit into an annotation of kubectl's, and each revision in a status has one.
        WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        Field(description="Serving runtime, as it was."),
    ] = None
    workload: Annotated[
        str | None,
        Field(description="KServe predictor (Standard) or Knative revision (Knative) that runs it."),
    ] = None
    adopted: Annotated[
        Annotated[str, forms.SERVICE_UID.field] | None,
        WithJsonSchema({"type": "string"}),
        Field(description="InferenceService that was taken over, as NAME/UID."),
    ] = None
    registered: Annotated[
        Annotated[str, forms.REGISTERED_VERSION.field] | None,
        WithJsonSchema({"type": "string", "maxLength": forms.REGISTERED_VERSION.longest}),
        Field(description="Its version in the registry, as NAME/VERSION."),
    ] = None
    brought: Annotated[
        BroughtFiles | None,
        # As of the runtime.
        WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        Field(description="What KServe is to bring of the tested files."),
    ] = None
    since: Annotated[Time | None, Field(description="When it was promoted.")] = None
    tested: Annotated[
        CIStatus | None,
        # As of the runtime: status.ci has its schema.
        WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        Field(description="The test that it passed, once it is promoted."),
    ] = None

    @property
    def serving_spec(self) -> ServingSpec:
        """The copy of ``spec.serving``, parsed."""
        return ServingSpec.model_validate(self.serving)

    @property
    def adopted_service(self) -> AdoptedService | None:
        """What it was taken over with, parsed; None for a revision that was rolled out here."""
        return AdoptedService.parse(self.adopted) if self.adopted else None

    @property
    def content_digest(self) -> str | None:
        """The digest, where it is one of the content; an object store's ETags are none."""
        return self.digest if self.digest is not None and self.digest.startswith("sha256:") else None

    @property
    def load_address(self) -> str:
        """Where KServe is told to load it from.

        Source: KServe 0.21. An address in S3 is the beginning of a key to it: with the files of a folder ``churn/1`` it
        brings those of ``churn/10``, unless a slash ends it.
        """
        uri = self.storage_uri
        folder = self.brought is not None and self.brought.is_folder and uri.startswith("s3://")
        return uri.rstrip("/") + "/" if folder else uri

    @property
    def files_to_load(self) -> str | None:
        """The digest of the files that a server of ours is to load, and no others; None where none is known."""
        return self.brought.digest if self.brought is not None else None

    def as_revision(self, **changes: Any) -> "Revision":
        """Give it as a revision and nothing more, with `changes`."""
        return Revision.model_validate({**self.model_dump(), **changes})


class Candidate(Revision):
    """A revision on its way to take over."""

    attempt: Annotated[int, Field(description="How often this revision has been tried.")] = 1
    weight: Annotated[int, Field(description="Percent of traffic that it should get.")] = 0
    mirror: Annotated[int, Field(description="Percent of the requests that it gets a copy of.")] = 0
    matched: Annotated[bool, Field(description="Whether the matches of spec.rollout.abTest hold.")] = False
    replicas: Annotated[
        str, Field(description="Pods that it has at least, whatever its weight.", max_length=4)
    ] = ""
    begun: Annotated[bool, Field(description="Whether it runs, with traffic or without.")] = False
    routed: Annotated[
        int | None,
        Field(description="Percent of traffic that it was last seen to get; none where that is not known."),
    ] = None
    routed_since: Annotated[Time | None, Field(description="Since when it has had that percent.")] = None
    settled: Annotated[
        int, Field(description="Percent that it has had for spec.rollout.scaleDownDelay at least.")
    ] = 0
    stable_pods: Annotated[
        int | None, Field(description="Most pods that the stable revision has had since this rollout began.")
    ] = None
    step: Annotated[int, Field(description="Index of the current step of spec.rollout.steps.")] = 0
    restores: Annotated[
        bool, Field(description="Whether it is the previous revision, coming back without tests and steps.")
    ] = False
    returns: Annotated[
        bool,
        Field(
            description="Whether the spec has gone back to it: it was promoted before, and skips the steps."
        ),
    ] = False
    note: Annotated[Note, Field(description="Why it comes back.")] = ""
    requested_by: Annotated[UserName, Field(description="User who asked for it, where that was noted.")] = ""
    approved_by: Annotated[
        list[UserName],
        Field(description="Users who approved steps of it, where that was noted.", max_length=MAX_APPROVERS),
    ] = []
    check: Annotated[CheckStatus | None, Field(description="Check of this step, or the last one.")] = None
    steps_hash: Annotated[str, Field(description="Hash of the steps that the index is for.")] = ""
    started_at: Annotated[Time, Field(description="When its rollout began.")]
    step_started_at: Annotated[Time, Field(description="When the current step began.")]
    unready_since: Annotated[
        Time | None, Field(description="Since when it has been expected to be ready, and is not.")
    ] = None
    waiting_since: Annotated[
        Time | None, Field(description="Since when its clock has stood, for something outside is away.")
    ] = None

    @property
    def runs(self) -> bool:
        """Whether anything of it is asked for; what other versions wrote tells only its traffic."""
        return self.begun or self.weight > 0


class Retained(Revision):
    """A revision that has lost its traffic: it keeps its pods for a while, then stays without any to go back to."""

    left_at: Annotated[Time, Field(description="When traffic was taken from it.")]
    weight: Annotated[
        int, Field(description="Percent of a variant; or kept at most until the stable one carries it.")
    ] = 0
    variant: Annotated[str | None, Field(description="Its name in the test that goes on.", max_length=20)] = (
        None
    )
    routed: Annotated[int | None, Field(description="Percent that the variant was last seen to get.")] = None
    pods: Annotated[
        int | None, Field(description="Pods that it keeps until spec.rollout.scaleDownDelay is over.")
    ] = None
    stable_pods: Annotated[int, Field(description="Pods of the stable revision that carry all traffic.")] = 1
    rejected: Annotated[bool, Field(description="Whether it is not kept beyond that.")] = False


class HistoryEntry(StatusModel):
    """A rollout that has ended."""

    revision: Annotated[str, Field(description="Revision that was rolled out.")]
    model_uri: Annotated[str, Field(description="Its model's address.")]
    outcome: Annotated[
        Literal["Promoted", "RolledBack", "Failed", "Superseded"], Field(description="How it ended.")
    ]
    reason: Annotated[str, Field(description="One CamelCase word.")]
    message: Annotated[Note, Field(description="Sentence for people.")] = ""
    requested_by: Annotated[Note, Field(description="User who asked for it, where that was noted.")] = ""
    approved_by: Annotated[
        Note, Field(description="Users who approved steps of it, where that was noted.")
    ] = ""
    started_at: Annotated[Time, Field(description="When it began.")]
    finished_at: Annotated[Time, Field(description="When it ended.")]


class ResolvedModel(StatusModel):
    """What ``spec.model`` was resolved to, once, so that nothing moves under a rollout."""

    uri: Annotated[str, Field(description="Address that was resolved.")]
    storage_uri: Annotated[str, Field(description="Address that the model is loaded from.")]
    digest: Annotated[str | None, Field(description="Content of the model, where it could be computed.")] = (
        None
    )
    registered: Annotated[
        str | None,
        Field(description="Its version in the registry.", max_length=forms.REGISTERED_VERSION.longest),
    ] = None


class AliasStatus(StatusModel):
    """Where ``spec.model.promoteAlias`` was last seen, once it was where it belongs."""

    name: Annotated[str, Field(description="The alias.", max_length=63)]
    version: Annotated[str, Field(description="Version, as NAME/VERSION.", max_length=147)]


class WorkloadStatus(StatusModel):
    """What there is besides the service of a deployment with a stable revision."""

    name: Annotated[str, Field(description="Name of the object.")]
    revision: Annotated[str, Field(description="Revision that was stable when it was written.")]


class RouterStatus(StatusModel):
    """Router that decides about the deployment's requests."""

    name: Annotated[RouterName, Field(description="Its name, as in spec.rollout.router.")]
    message: Annotated[
        Message, Field(description="Why it is this one, and what the cluster lacks for another.")
    ] = ""


class ModelDeploymentStatus(StatusModel):
    """What the operator has done and seen; it has one writer."""

    observed_generation: Annotated[
        int, Field(description="Generation of the spec that this status is about; -1 before the first look.")
    ] = -1
    phase: Annotated[Phase, Field(description="Where the deployment stands, in one word.")] = "Pending"
    reason: Annotated[str, Field(description="Why, in one CamelCase word for programs.")] = ""
    message: Annotated[Message, Field(description="Why, in a sentence, and what to do.")] = ""
    operator: Annotated[
        str | None, forms.LEASE.field, Field(description="Lease of the operator that works on it.")
    ] = None
    url: Annotated[str, Field(description="Where the model answers.")] = ""
    router: Annotated[
        RouterStatus | None, Field(description="Who decides which requests a revision gets.")
    ] = None
    model: Annotated[ResolvedModel | None, Field(description="What spec.model resolves to.")] = None
    stable: Annotated[Revision | None, Field(description="Revision that is promoted.")] = None
    candidate: Annotated[Candidate | None, Field(description="Revision that is on its way.")] = None
    previous: Annotated[
        Revision | None, Field(description="Revision that was stable before; a rollback goes there.")
    ] = None
    rejected: Annotated[
        Revision | None,
        Field(description="Knative: rejected revision that the service holds."),
    ] = None
    retained: Annotated[
        list[Retained],
        Field(
            description="Revisions that have lost their traffic, the last one first.",
            max_length=MOST_RETAINED,
        ),
    ] = []
    failed_revision: Annotated[
        str | None,
        Field(description="Revision that was rejected; not tried again until the spec changes or by retry."),
    ] = None
    failed_attempt: Annotated[int, Field(description="Its attempts.")] = 0
    failed_content: Annotated[str, Field(description="Its hash.", max_length=10)] = ""
    ci: Annotated[CIStatus | None, Field(description="Test of the candidate, or the last one.")] = None
    test_instance: Annotated[
        str | None, Field(description="InferenceService that runs for the test alone.", max_length=63)
    ] = None
    analysis: Annotated[
        AnalysisStatus | None,
        Field(description="What the evidence says of the candidate, or of the last one."),
    ] = None
    abandoned_runs: Annotated[
        list[AbandonedRun],
        Field(
            description="Runs that were terminated or lost: asked again, their question is another run.",
            max_length=20,
        ),
    ] = []
    alias: Annotated[AliasStatus | None, Field(description="Where spec.model.promoteAlias was moved.")] = None
    batch: Annotated[WorkloadStatus | None, Field(description="CronJob of spec.batch.")] = None
    stream: Annotated[WorkloadStatus | None, Field(description="Deployment of spec.stream.")] = None
    disruption_budget: Annotated[
        WorkloadStatus | None,
        Field(description="PodDisruptionBudget of spec.serving.podDisruptionBudget."),
    ] = None
    history: Annotated[
        list[HistoryEntry], Field(description="Rollouts that have ended, newest first.", max_length=25)
    ] = []
    conditions: Annotated[
        list[Condition],
        Field(
            description="Ready, and Reconciling or Stalled (kstatus); ModelResolved, Tested, PoliciesMet, Analysed; "
            "RouterReady and VariantsReady where traffic cannot be as asked; FreezesEnd where they do not; "
            "BatchApplied, StreamApplied and DisruptionBudgetApplied where the API server refused it.",
            max_length=14,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
