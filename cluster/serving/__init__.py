"""A local serving agent: InferenceServices served by processes of this machine, without a node.

It keeps KServe's contract (spec, canary weights, status) for the parts that Mooring uses, so that a
canary release can be watched end to end where there is an API server but nothing to run pods on.

``predictors``, ``routing``, ``knative``, ``conditions`` and ``status`` decide and do no I/O; ``replica``
runs one process, ``fleet`` all of one InferenceService, ``front`` is the HTTP address, ``agent`` the watch.
"""
