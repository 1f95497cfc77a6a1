"""Every reason that a phase, condition, Event or evaluation of ours can have.

A reason is one CamelCase word for programs: scripts, alerts and our own command line match it, so it is never
renamed. Its docstring says when it is set and, after a blank line, what to do about it; docs/reasons.md is
generated from here. A new reason is a new constant of the section that it belongs to.
"""

# --- Models: what spec.model points to ---

MODEL_NOT_FOUND = "ModelNotFound"
"""The store or the registry has nothing at spec.model.uri.

Correct spec.model.uri, or put the model there; it is looked up again every minute.
"""
MODEL_ADDRESS_INVALID = "ModelAddressInvalid"
"""spec.model.uri is a registry address of no known form.

Write models:/NAME/VERSION or models:/NAME@ALIAS.
"""
DIGEST_MISMATCH = "DigestMismatch"
"""The files at spec.model.uri are not those of spec.model.digest.

Find out who changed the files; then write the digest that you want served.
"""
ARTIFACTS_PROXIED = "ArtifactsProxied"
"""MLflow hands the model's files out itself, and nothing says where a run may copy them to be served.

Set MOORING_STAGING_ROOT, and have the model tested: a run of spec.ci copies it.
"""
REGISTRY_NOT_CONFIGURED = "RegistryNotConfigured"
"""spec.model.uri names a registry, and the operator knows of none.

Set MOORING_MLFLOW_TRACKING_URI, or give the address of the files.
"""
ALIAS_MOVED = "AliasMoved"
"""spec.model.promoteAlias was seen at the version of the promoted revision.
"""
ALIAS_NOT_MOVED = "AliasNotMoved"
"""spec.model.promoteAlias could not be moved to the version of the promoted revision, which serves all the same.

The message says why; it is tried again, at intervals of up to five minutes.
"""
ADDRESS_NOT_GRANTED = "AddressNotGranted"
"""The operator may not look up this model for this namespace.

Have an administrator add the line that the message names to ConfigMap mooring-grants.
"""
ADDRESS_NOT_ALLOWED = "AddressNotAllowed"
"""The address is one of a file, which means whatever pod reads it, or one that could be read in two ways.

Use an address in a store: s3://, gs:// or az://. A claim or an image that a registry leads to is named in the spec.
"""
REGISTRY_UNAVAILABLE = "RegistryUnavailable"
"""The registry or the store does not answer; it is asked again every 15 seconds.

See whether it is up, and whether the operator may read from it.
"""

# --- Tests: the CI run and the policies ---

TESTING = "Testing"
"""The CI run of the candidate is under way.
"""
CI_PASSED = "CIPassed"
"""The CI run met every gate.
"""
REGISTERED = "Registered"
"""The CI run registered the revision that it passed in MLflow.
"""
NOT_REGISTERED = "NotRegistered"
"""The CI run could not register the revision in MLflow; it has passed all the same.

The message says why. Once that is mended, mooring retry tests the revision anew, or register it by hand.
"""
CI_FAILED = "CIFailed"
"""The CI run measured something that a gate does not allow.

The message names each gate: train a better model, or change spec.ci.gates.
"""
CI_RUN_FAILED = "CIRunFailed"
"""The CI run ended without a verdict.

Look at the run (status.ci.url); after mending it: mooring retry NAME.
"""
CI_LAUNCH_FAILED = "CILaunchFailed"
"""Launching the CI run failed half-way several times: it may run, and nobody would know.

The message has the backend's words: see whether it is well, then: mooring retry NAME.
"""
CI_TIMEOUT = "CITimeout"
"""The CI run took longer than spec.ci.timeout, or than MOORING_RUN_LONGEST lets any run take.

Look at the run (status.ci.url), or allow it more time.
"""
TEST_INSTANCE_NOT_READY = "TestInstanceNotReady"
"""With spec.ci.target Endpoint a revision runs for its test first, and it did not become ready.

The message says why; after mending it: mooring retry NAME. Slow starts need a longer spec.rollout.progressDeadline.
"""
VERDICT_MISSING = "VerdictMissing"
"""The CI run succeeded, and its verdict cannot be read.

See whether the run may write where MOORING_ARTIFACT_ROOT points, and the operator read there.
"""
VERDICT_MISMATCH = "VerdictMismatch"
"""The verdict is about another run, or about other files than the revision is pinned to.

The model's files changed under its address: write each model to an address of its own.
"""
PIPELINES_UNAVAILABLE = "PipelinesUnavailable"
"""What runs the pipelines does not answer; it is asked again.

See whether it is up, and whether MOORING_KFP_ENDPOINT is right.
"""
VERDICTS_UNAVAILABLE = "VerdictsUnavailable"
"""The store that holds the verdicts does not answer; it is asked again.

See whether it is up, and whether the operator may read from it.
"""
AUDIT_UNAVAILABLE = "AuditUnavailable"
"""What was decided cannot be recorded, and waits for that; only going back to what served before does not.

See whether the store of MOORING_AUDIT_ROOT is up, and whether the operator may create objects there.
"""
POLICIES_MET = "PoliciesMet"
"""The revision complies with every policy in spec.policies, and with those that bind its namespace.
"""
POLICY_VIOLATED = "PolicyViolated"
"""The candidate does not comply with a policy.

The message names the rules that are not met.
"""
CLUSTER_POLICY_VIOLATED = "ClusterPolicyViolated"
"""A ClusterModelPolicy that binds the namespace is not complied with; what is promoted keeps its traffic.

The message names the policy and the field to change; the administrator who wrote the policy can tell why it is so.
"""
CLUSTER_POLICIES_UNREADABLE = "ClusterPoliciesUnreadable"
"""The operator cannot tell which ClusterModelPolicies bind the namespace, so nothing new is served in it.

The message says what is missing: the right to read clustermodelpolicies and namespaces, or a newer operator. Where
nobody uses them: MOORING_CLUSTER_POLICIES=false.
"""
POLICY_TOO_EXPENSIVE = "PolicyTooExpensive"
"""A rule of a policy takes more time, memory or steps than a policy may.

The message names the rule: write it with fewer nested loops, or without building large values.
"""
POLICY_ACCEPTED = "PolicyAccepted"
"""Every part of a policy can be applied.
"""
INVALID_EXPRESSION = "InvalidExpression"
"""An expression of a policy is no condition in CEL, so that it is never met.

The message names the rule and the place: correct it. mooring validate FILE finds it before the policy is applied.
"""
INVALID_SOURCE = "InvalidSource"
"""An address in allowedSources can be read in more than one way, so that nothing lies there.

Write it without . and .., empty or percent-encoded segments, a query or credentials.
"""
SIGNER_UNKNOWN = "SignerUnknown"
"""A signer that a policy names without a key has none in ConfigMap mooring-signers: what it signs counts for nothing.

Deployments wait where no signer of a policy has one. Add NAME.pem to that ConfigMap beside the operator, or write the
key into the policy.
"""
TEMPLATE_ACCEPTED = "TemplateAccepted"
"""Deployments can be judged by an AnalysisTemplate or ClusterAnalysisTemplate.
"""
INVALID_TEMPLATE = "InvalidTemplate"
"""No deployment can be judged by an AnalysisTemplate or ClusterAnalysisTemplate.

The message names the field: correct it. mooring validate FILE finds it before the template is applied.
"""
EVALUATING_POLICIES = "EvaluatingPolicies"
"""The rules of the policies are being evaluated.
"""
RULES_UNAVAILABLE = "RulesUnavailable"
"""The rules of the policies cannot be evaluated now; it is tried again.

The message says why: see whether the operator has the memory and processes that its manifest asks for.
"""
TOO_MANY_LABELS = "TooManyLabels"
"""The ModelDeployment has more labels than the rules of policies are shown.

Remove some from metadata.labels.
"""
POLICY_NOT_FOUND = "PolicyNotFound"
"""spec.policies names a ModelPolicy that does not exist, or that this version cannot read.

Make the policy; it is looked up again every minute.
"""

# --- Rollouts: how traffic moves to a revision ---

DEPLOYING = "Deploying"
"""The first revision is starting.
"""
SETTING_WEIGHT = "SettingWeight"
"""A step gives the candidate its share of traffic, and waits until it is ready and has it.
"""
ROUTER_RECOVERED = "RouterRecovered"
"""The router can give every revision its part of the traffic again.
"""
ROUTER_IMPRECISE = "RouterImprecise"
"""The router may carry out a part of the spec in another way than it is asked for, or not at all; nothing waits for it.

The message names the field and what may happen instead, such as copies of all requests in place of some, pods that
follow an edited runtime, or a host name that leads nowhere.
"""
UNSUPPORTED_BY_ROUTER = "UnsupportedByRouter"
"""The router of this deployment cannot carry out what spec.rollout asks for; traffic stays where it is.

The message names what it cannot, and what it can: change spec.rollout, or choose another router.
"""
RECREATING = "Recreating"
"""The stable revision stops before the new one starts (strategy Recreate), and nothing answers meanwhile.
"""
SIDE_BY_SIDE = "SideBySide"
"""Revisions answer side by side (strategy ABTest), until the time that the message names.

Decide earlier by: mooring approve NAME, mooring abort NAME, or mooring promote NAME VARIANT.
"""
VARIANT_UNKNOWN = "VariantUnknown"
"""A variant of an A/B test is a revision that is not kept, or that takes part already; traffic stays where it is.

The message names it and what is kept: correct spec.rollout.abTest.variants, or let spec.revisionHistoryLimit keep more.
"""
VARIANT_NOT_READY = "VariantNotReady"
"""A variant of an A/B test lacks pods, and the stable revision answers for it; the test goes on.

The message says why. It gets its part when it has its pods.
"""
TRIAL_ENDED = "TrialEnded"
"""The time of an A/B test was over and nobody had decided, with spec.rollout.abTest.then RollBack; or before it began.

To go on with it after all: mooring retry NAME; before it began: a later spec.rollout.abTest.until, or a duration.
"""
WAITING = "Waiting"
"""The candidate waits for something that is not its own doing, such as a controller that is away; its clock stands.

The message names what is away: the rollout goes on by itself when it is back.
"""
ROUTER_NOT_READY = "RouterNotReady"
"""What routes the traffic cannot split it, or has not taken the split up; nothing is shifted or promoted meanwhile.

The message says what is missing. KServe needs version 0.21 or newer, the Gateway API (`enableGatewayApi`) and a Gateway
that accepts its HTTPRoutes.
"""
FROZEN = "Frozen"
"""A window of spec.rollout.freeze, or of a ClusterModelPolicy, holds: nothing is promoted or gets more traffic.

The message says until when; then it goes on by itself. What goes back is carried out: mooring abort NAME, rollback.
"""
FREEZE_INVALID = "FreezeInvalid"
"""The windows of a freeze leave no time between them, or one has a time zone that is not known; nothing goes forward.

The message names the field: correct it, or ask the administrator whose ClusterModelPolicy it is in.
"""
NOT_BEFORE = "NotBefore"
"""The rollout begins at spec.rollout.notBefore.
"""
REQUIREMENT_UNMET = "RequirementUnmet"
"""A ModelDeployment of spec.rollout.requires has not promoted the same model, or does not let this namespace see that.

The message names it: promote the model there, or have its annotation mooring.dev/evidence-for name this namespace.
"""
QUEUED = "Queued"
"""As many deployments of the namespace roll out as spec.rollout.maxConcurrent allows; it waits for its turn.

The message names some of them.
"""
PAUSING = "Pausing"
"""A step with a duration is being waited for.
"""
ANALYSING = "Analysing"
"""A step waits for evidence about the candidate.
"""
ANALYSIS_PASSED = "AnalysisPassed"
"""The evidence says that the candidate is within its limits.
"""
ANALYSIS_INSUFFICIENT = "AnalysisInsufficient"
"""There is too little evidence to say whether the candidate is within its limits.

More requests, a longer step or a wider limit make it more: mooring rehearse says how long a verdict takes.
"""
ANALYSIS_TEMPLATE_NOT_FOUND = "AnalysisTemplateNotFound"
"""spec.rollout.analysis.templates names a template that does not exist, or that cannot be read. Traffic stays.

Make the template, or name another: the rollout goes on as soon as it is there.
"""
ANALYSIS_TEMPLATE_UNUSABLE = "AnalysisTemplateUnusable"
"""A template does not fit what the deployment tells it, or what else the deployment is judged by. Traffic stays.

The message names the field: correct the arguments, or the template.
"""
ANALYSIS_TEMPLATE_CHANGED = "AnalysisTemplateChanged"
"""A template was edited while a revision is judged by it: what the edit concerns is judged anew, the rest goes on.
"""
METRICS_UNAVAILABLE = "MetricsUnavailable"
"""Nothing can be counted for spec.rollout.analysis; the message says what is wrong. Traffic stays where it is.

Follow the message; nothing that could not be counted counts against the candidate.
"""
PAUSED_BY_ANALYSIS = "PausedByAnalysis"
"""The time of a step was over before the evidence sufficed.

It goes on by itself with a PASS; mooring approve NAME goes on without, mooring abort NAME goes back.
"""
CHECKING = "Checking"
"""A check of a step is under way: a webhook is asked, or a Job runs.
"""
CHECK_PASSED = "CheckPassed"
"""The check of a step passed.
"""
CHECK_FAILED = "CheckFailed"
"""The check of a step failed, and the step says onFailure: RollBack.

The message has its words; kubectl logs job/mooring-check-ID has all of them for a day.
"""
CHECK_INSUFFICIENT = "CheckInsufficient"
"""The check of a step found nothing out in its time, or could not run, and the step says onFailure: RollBack.

The message says what was missing; after mending it: mooring retry NAME.
"""
PAUSED_BY_CHECK = "PausedByCheck"
"""The check of a step did not pass, and the step says onFailure: Pause.

Look at what it found: mooring approve NAME goes on in spite of it, mooring abort NAME goes back.
"""
PAUSED_BY_STEP = "PausedByStep"
"""A step pauses the rollout until somebody lets it go on.

mooring approve NAME
"""
PAUSED_BY_COMMAND = "PausedByCommand"
"""Somebody paused the rollout between two steps.

mooring resume NAME
"""
AWAITING_APPROVAL = "AwaitingApproval"
"""A step asks for an approval.

mooring approve NAME
"""
APPROVED = "Approved"
"""Somebody approved the step that the rollout stood at.
"""
APPROVAL_REFUSED = "ApprovalRefused"
"""An approval or promotion was dropped: the step is for someone else than who asked for the revision.

Somebody else approves: mooring approve NAME. Where the message says that nobody is noted, set the annotations
mooring.dev/requested-by and mooring.dev/approve-by.
"""
PROMOTION_REQUESTED = "PromotionRequested"
"""Somebody asked for the revision to take over without the steps that were left.
"""
PROMOTING = "Promoting"
"""A revision is taking over all traffic, or another one has yet to leave.
"""
PROMOTED = "Promoted"
"""The revision serves all traffic.
"""
SERVICE_NOT_READY = "ServiceNotReady"
"""The stable revision does not serve all traffic yet.

When it lasts, look at the InferenceService and its pods.
"""
SUPERSEDED = "Superseded"
"""The spec changed before the revision's rollout ended.
"""

# --- Rejections and rollbacks ---

ABORTED = "Aborted"
"""Somebody aborted the rollout.

Change the spec, or: mooring retry NAME.
"""
ANALYSIS_FAILED = "AnalysisFailed"
"""The revision is beyond a limit of spec.rollout.analysis, by evidence; the message has the numbers.

Change the model; if the limit is too narrow, widen it, then: mooring retry NAME.
"""
CANDIDATE_BLOCKED = "CandidateBlocked"
"""The candidate cannot start, and waiting will not help; the message has KServe's words.

Mend what they say, then: mooring retry NAME.
"""
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
"""The candidate was not ready for longer than spec.rollout.progressDeadline.

Look at its pods; after mending: mooring retry NAME.
"""
SERVICE_REFUSED = "ServiceRefused"
"""The API server or an admission webhook refused the InferenceService.

The message has their words: change spec.serving.
"""
REJECTED_BEFORE = "RejectedBefore"
"""The spec asks for a revision that was rejected before.

Change the spec, or: mooring retry NAME.
"""
ROLLING_BACK = "RollingBack"
"""The previous revision is coming back.
"""
RETRY_REQUESTED = "RetryRequested"
"""Somebody asked for a revision that was rejected to be tried again.
"""
ROLLBACK_REQUESTED = "RollbackRequested"
"""Somebody, or a DriftMonitor, asked to go back to the previous revision.
"""
NOTHING_TO_ROLL_BACK_TO = "NothingToRollBackTo"
"""A rollback was asked for, and no revision was promoted before the stable one.

Change spec.model.uri.
"""

# --- Serving runtimes: what a revision runs on ---

CHOOSING_RUNTIME = "ChoosingRuntime"
"""spec.serving names no runtime: KServe is asked which one it would choose, by an InferenceService that runs nothing.

It takes a second. Where it lasts, see whether KServe's controller runs, or name one in spec.serving.runtime.
"""
RUNTIME_NOT_FOUND = "RuntimeNotFound"
"""There is no ServingRuntime and no ClusterServingRuntime of the name that the revision is to run on.

Correct spec.serving.runtime, or the administrator's MOORING_DEFAULT_RUNTIMES; kubectl get clusterservingruntimes.
"""
RUNTIME_UNSUITABLE = "RuntimeUnsuitable"
"""The revision cannot run on its runtime: it is disabled, too large, or not for this format; or KServe finds none.

The message says which: name another one in spec.serving.runtime, or change the runtime.
"""
RUNTIME_UNREADABLE = "RuntimeUnreadable"
"""The operator may not read ClusterServingRuntimes, and a revision runs on a copy of its runtime.

Grant it that (docs/kserve.md), or name a ServingRuntime of the namespace in spec.serving.runtime.
"""

# --- Capture: condition Capturing, with spec.serving.capture ---

REQUESTS_KEPT = "RequestsKept"
"""The pods of the revision, or a collector beside them, keep requests where spec.serving.capture.store says.
"""
CAPTURE_NOT_SERVED = "CaptureNotServed"
"""The revision that serves was made before spec.serving.capture, and keeps nothing.

The revision that the spec asks for begins with it: see why that one was not promoted.
"""
CAPTURE_OVERRIDDEN = "CaptureOverridden"
"""An argument --capture_uri, spec.serving.logger, or another tool's logger comes before spec.serving.capture.

Take away what the message names, or spec.serving.capture.
"""
CAPTURE_UNCONFIRMED = "CaptureUnconfirmed"
"""It is not known which server runs (this router, a container of spec.serving.template), or a collector starts.

Nothing where it is mooring-inference, or where the collector is ready in a minute.
"""
COLLECTOR_UNAVAILABLE = "CollectorUnavailable"
"""The collector that keeps the requests of a revision on another server does not run; requests are not kept.

See the events of its Deployment, and its log: image, ServiceAccount, and whether a mask's key is there.
"""
RUNTIME_CHANGED = "RuntimeChanged"
"""The runtime of the stable revision was edited: with spec.serving.runtimePolicy Follow that is a new revision.

With Pinned it runs on as it began, and the next revision begins with the edit; write Follow to roll it out.
"""

# --- Specs and workloads ---

CHARACTERS_NOT_ALLOWED = "CharactersNotAllowed"
"""A text that a run would be given has a character that Kubeflow Pipelines cannot keep, such as an emoji.

Name addresses and columns without it, or have runs run as Jobs (MOORING_PIPELINES=Jobs).
"""
INVALID_SPEC = "InvalidSpec"
"""The API server let a spec through that the operator cannot read: its resources are of another version.

Install the CRDs of the operator's version, then correct the spec.
"""
NAME_TOO_LONG = "NameTooLong"
"""KServe would make host names from metadata.name and the namespace that DNS does not allow.

Choose a shorter name.
"""
COMPONENTS_NOT_SPLIT = "ComponentsNotSplit"
"""A transformer or explainer would not have its revision's share of the requests; the stable revision keeps serving.

KServe's own canaries know predictors alone. Choose a router that serves each revision by itself.
"""
ADOPTED = "Adopted"
"""What ran before was taken over as it was, as the first revision: nothing was tested or started.
"""
ADOPTION_REFUSED = "AdoptionRefused"
"""What annotation mooring.dev/adopt names cannot be taken over; it runs on as it is, and nothing is started.

The message says what is in the way: whose it is, or which fields differ from what runs, and what to write.
"""
NAME_TAKEN = "NameTaken"
"""An object that is not the resource's own has the name of one that it would make; nothing is written.

The message says whose it is: delete it, give the resource another name, or hand the object over.
"""
REFUSED = "Refused"
"""The API server refused what spec.batch or spec.stream makes.

The message has its words: change the field.
"""
WORKLOAD_REFUSED = "WorkloadRefused"
"""The Event of condition BatchApplied or StreamApplied when its reason becomes Refused or NameTaken.

The message has the API server's words: change the field, or remove what has the name.
"""

# --- Drift ---

NO_DRIFT = "NoDrift"
"""Fewer features drifted than spec.driftedFeatures, or there is less evidence than spec.sensitivity wants.
"""
DRIFT_DETECTED = "DriftDetected"
"""At least spec.driftedFeatures features drifted, or there is as much evidence as spec.sensitivity wants.

mooring drift NAME shows them.
"""
ROLLBACK_SKIPPED = "RollbackSkipped"
"""Drift, performance or operation asked for a rollback, and no revision was promoted before the one that serves.

Train a model on today's traffic.
"""
RETRAINING_STARTED = "RetrainingStarted"
"""What spec.retrain.on names has begun, and what spec.retrain names trains a new model.
"""
RETRAINED = "Retrained"
"""A new model is there, and registered where spec.retrain.registerAs says so.

The message says whether the ModelDeployment tests it by itself, or which line to write there.
"""
RETRAINING_FAILED = "RetrainingFailed"
"""A training ended without a model, or could not begin; this drift starts no other until spec.retrain is another.

See the message, and the run (status.retraining.url, or the log of Job mooring-run-RUNID).
"""
STOP_REQUESTED = "StopRequested"
"""Drift began, performance dropped or operation degraded, and the rollout under way was asked to pause or to end.

mooring resume NAME lets one go on that was paused.
"""
NOTIFICATION_SENT = "NotificationSent"
"""A receiver of spec.notify was told that drift has begun or ended.
"""
NOTIFICATION_FAILED = "NotificationFailed"
"""A receiver of spec.notify was not told, and is not asked again.

See the message, and the log of Job mooring-notice-ID: the address, the Secret with its headers, the network policies.
"""
DRY_RUN = "DryRun"
"""spec.dryRun is true: an action was due, and nothing was done.
"""
SUSPENDED = "Suspended"
"""spec.suspend is true: nothing is evaluated.
"""
TARGET_NOT_FOUND = "TargetNotFound"
"""spec.target names nothing in this namespace; where something of another kind has that name, the message says so.

Make it, or correct the name.
"""
INSUFFICIENT_DATA = "InsufficientData"
"""Baseline or window has fewer rows than spec.minRows: that says nothing.
"""
BASELINE_UNREADABLE = "BaselineUnreadable"
"""spec.baseline.uri holds no rows that can be read.

The message says what is there.
"""
BASELINE_SUFFICIENT = "BaselineSufficient"
"""The baseline has at least 20 times the window's rows.
"""
BASELINE_SMALL = "BaselineSmall"
"""The baseline has fewer than 20 times the window's rows: what it has by chance counts in every window.

Take a larger baseline or a shorter window. With spec.sensitivity it costs time and makes no wrong alarms.
"""
WINDOW_UNREADABLE = "WindowUnreadable"
"""spec.window.uri holds no rows that can be read.

The message says what is there.
"""
FEATURE_MISSING = "FeatureMissing"
"""A column of spec.features or spec.slices is missing, a setting of spec.featureSettings fits none, or there is none.

The message names the columns that there are.
"""
SCHEMA_CHANGED = "SchemaChanged"
"""Columns vanished, are new, or have a type that cannot be compared with the baseline's.

mooring drift NAME shows them. Write the window as the baseline was written, or name those that matter in spec.features.
"""
SCHEMA_UNCHANGED = "SchemaUnchanged"
"""Baseline and window have the same columns again, of types that can be compared.
"""
TARGET_OWNED = "TargetOwned"
"""spec.target names an InferenceService that Mooring made for a ModelDeployment: name that one.
"""
TARGET_NOT_SERVED = "TargetNotServed"
"""No revision of the ModelDeployment is promoted yet, and what it keeps of its requests is what is watched.
"""
NOTHING_CAPTURED = "NothingCaptured"
"""The revision that serves keeps no requests, and the monitor names no files to compare.

Set spec.serving.capture of the ModelDeployment, and see its condition Capturing; or name files in spec.window.uri.
"""
AWAITING_WINDOW = "AwaitingWindow"
"""The first window has not ended yet, or rows may still come.
"""
GATHERING_WINDOW = "GatheringWindow"
"""The window has fewer rows than spec.window.capture.rows yet: it goes on until it has them.
"""
WINDOW_EMPTY = "WindowEmpty"
"""The target has kept no request since the last window ended: it goes on until it has spec.window.capture.rows.
"""
GATHERING_BASELINE = "GatheringBaseline"
"""The baseline is what the revision that serves keeps after its promotion, and that time has not passed yet.
"""
BASELINE_EXPIRED = "BaselineExpired"
"""The rows that were the baseline are older than spec.serving.capture.retention, and deleted.

Name files in spec.baseline.uri, or keep requests for longer.
"""
WINDOWS_SKIPPED = "WindowsSkipped"
"""Nothing was evaluated for so long that some windows are left out: the last 24 are made up for.
"""
ROWS_LATE = "RowsLate"
"""Rows came after their window was evaluated, which is done once: they are in none, and counted in status.arrivals.

Give spec.window.capture.grace more time; see whether the store answers the servers, and whether clocks are behind.
"""
ROWS_REPEATED = "RowsRepeated"
"""Rows of the last window were kept twice, at the same microsecond with the same id: they count once.

See whether files were copied within the store, or two collectors are told of the same requests.
"""
CLOCK_AHEAD = "ClockAhead"
"""Rows have times after their files were written: the clock of a server is ahead, and windows are of other times.

Set the clocks of the nodes.
"""
AWAITING_LABELS = "AwaitingLabels"
"""No request of the revision that serves was judged by labels yet: they may come for spec.performance.grace.
"""
INSUFFICIENT_LABELS = "InsufficientLabels"
"""Fewer requests than spec.performance.minLabels have a label: that says nothing.

Where labels are there and none fits, their ids are not those of the requests.
"""
LABELS_UNREADABLE = "LabelsUnreadable"
"""Labels cannot be read, or they do not fit what the model says.

The message says what is there.
"""
RULE_BROKEN = "RuleBroken"
"""What was measured breaks a rule of spec.performance.rules, with the whole of its interval, or of spec.operation.

mooring drift NAME shows them all.
"""
RULES_HOLD = "RulesHold"
"""All that was measured keeps spec.performance.rules, or spec.operation.
"""
ESTIMATE_UNAVAILABLE = "EstimateUnavailable"
"""How good predictions are cannot be estimated without labels.

The message says why: confidence that is no probability, too few labelled rows, or a window that is like none of them.
"""
TYPE_UNSUPPORTED = "TypeUnsupported"
"""A column of spec.features holds nothing that is compared, or none holds what the spec says of it.

Leave it out of spec.features, or give it the type that its values have. A slice has values that some rows have, and not
all of both sides.
"""
TOO_LARGE = "TooLarge"
"""Baseline and window take more memory than an evaluation has.

Give them fewer rows.
"""
EVALUATING = "Evaluating"
"""The first evaluation is under way.
"""
EVALUATION_UNAVAILABLE = "EvaluationUnavailable"
"""An evaluation could not be launched, or its run was deleted; it is tried again after spec.interval.

The message says why: see whether what runs the pipelines is well.
"""
EVALUATION_FAILED = "EvaluationFailed"
"""The run of an evaluation ended without a report; another is made after spec.interval.

Look at the run (status.run.url, or the log of Job mooring-run-RUNID).
"""
EVALUATION_TIMEOUT = "EvaluationTimeout"
"""An evaluation took longer than spec.timeout, or than MOORING_RUN_LONGEST lets any run take.

Give baseline and window fewer rows, or the evaluation more time.
"""

# --- Failures of the operator itself: condition Reconciled ---

INTERNAL_ERROR = "InternalError"
"""The operator failed in a way that nobody foresaw; it tries again, once a minute in the end.

Search its log for the reference in the message, and report what it says beside it.
"""
DEADLINE_EXCEEDED = "DeadlineExceeded"
"""The operator could not look at the resource within MOORING_RECONCILE_DEADLINE; it tries again.

See whether the API server, the pipelines and the stores answer: mooring_pool_busy names the one that is slow.
"""
STATUS_REPAIRED = "StatusRepaired"
"""Some of the status was gone or could not be read, and is found out again: after an edit, or from a restored backup.

See what the message names; a rollout that was on its way may have started anew.
"""
STATUS_UNREADABLE = "StatusUnreadable"
"""The status lacks what the operator cannot do without, or it is of no form that this version knows; nothing is moved.

Put back the field that the message names, or start the version of the operator that wrote it. Where status.stable is
gone: apply the spec of the revision that serves, which is stable again then, and the newer one after it.
"""

OTHER_OPERATOR = "OtherOperator"
"""Another operator of this cluster works on the object (status.operator), and its Lease is renewed; it is left alone.

Remove one of the two operators, or give each namespaces of its own (MOORING_NAMESPACES).
"""

# --- Groups ---

AWAIT_A_PERSON = (PAUSED_BY_STEP, PAUSED_BY_ANALYSIS, PAUSED_BY_CHECK, AWAITING_APPROVAL)
"""A rollout stands at a step that `mooring approve` lets it leave."""

AWAIT_A_TIME = (FROZEN, NOT_BEFORE)
"""A rollout goes on by itself at a time that its windows, or its spec, name."""

OF_RUNTIMES = (CHOOSING_RUNTIME, RUNTIME_NOT_FOUND, RUNTIME_UNSUITABLE, RUNTIME_UNREADABLE)
"""A revision cannot begin for want of a runtime: another one, or an edit of one, may help."""

FROM_EVALUATIONS = (
    NO_DRIFT,
    DRIFT_DETECTED,
    SCHEMA_CHANGED,
    EVALUATION_FAILED,
    EVALUATION_TIMEOUT,
    EVALUATION_UNAVAILABLE,
)
"""How an evaluation ended, but for what its run says of its input."""

OF_EVALUATIONS = (
    INSUFFICIENT_DATA,
    GATHERING_WINDOW,
    WINDOW_EMPTY,
    BASELINE_UNREADABLE,
    WINDOW_UNREADABLE,
    FEATURE_MISSING,
    TYPE_UNSUPPORTED,
    TOO_LARGE,
)
"""What the run of an evaluation may say of its input; any other word of its is EvaluationFailed."""

OF_PERFORMANCE = (AWAITING_LABELS, INSUFFICIENT_LABELS, LABELS_UNREADABLE, WINDOW_UNREADABLE, TOO_LARGE)
"""What it may say of requests and labels; any other word of its is LabelsUnreadable."""
