"""The decision core: pure functions of spec, status, observations and the time.

`rollout` decides about ModelDeployments, `drift` about DriftMonitors: each has a `plan`. They stand on `manifests`
(the objects that are written), `policies` and `runs` (what is asked, and what the answers mean), and those on
`objects` and `status`.

Nothing in here does I/O, reads a clock or knows kopf; import-linter holds it to that, and the rooms to their order.
"""
