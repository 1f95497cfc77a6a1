"""Webhooks of a Canary of Flagger's, as steps webhook and approve."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

from mooring_operator.api.checks import MOST_CHECKS, Webhook
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.durations import duration_text
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.forms import takes

START, RAISE, PROMOTE = "confirm-rollout", "confirm-traffic-increase", "confirm-promotion"
_STEPS = ("pre-rollout", "rollout")
_OF_A_CALL = ("name", "timeout", "retries", "disableTLS", "metadata")
_OTHERS = {
    "post-rollout": "nothing is asked after a rollout: watch the Events of the ModelDeployment",
    "event": "watch the Events of the ModelDeployment",
    "rollback": "mooring abort rolls back",
    "skip": "mooring promote skips the steps",
}
# A Service of the cluster, NAME.NAMESPACE, with nothing behind it.
_SERVICE = re.compile(r"(http://[a-z0-9-]+\.[a-z0-9-]+)((?::[0-9]+)?(?:/.*)?)", re.ASCII)


@dataclass
class Hooks:
    """The hooks of an analysis.

    gates: those that a person answers here, by type.
    before, during: those that are asked before the first request, and at each weight.
    steps: what each of these becomes, by its place.
    """

    gates: dict[str, list[Fields]] = field(default_factory=dict)
    before: list[Fields] = field(default_factory=list)
    during: list[Fields] = field(default_factory=list)
    steps: dict[str, Object] = field(default_factory=dict)

    def steps_of(self, hooks: list[Fields]) -> list[Object]:
        """Give the steps of some of them."""
        return [self.steps[hook.place] for hook in hooks]

    def keep_few(self, times: int) -> int:
        """Leave out what is more than a rollout has checks, and give how often those at each weight are asked."""
        for hook in (self.before + self.during)[MOST_CHECKS:]:
            hook.tell("", f"a rollout has at most {MOST_CHECKS} checks")
        self.before = self.before[:MOST_CHECKS]
        self.during = self.during[: MOST_CHECKS - len(self.before)]
        if len(self.before) + times * len(self.during) <= MOST_CHECKS:
            return times
        for hook in self.during:
            hook.tell("", f"is asked once, at the last weight: a rollout has at most {MOST_CHECKS} checks")
        return 1

    def leave_out(self, why: str) -> None:
        """Say that nothing is asked before or during the analysis."""
        for hook in self.before + self.during:
            hook.tell("", why)
        self.before, self.during = [], []

    def open_gates(self, why: str, *kinds: str) -> None:
        """Say that nobody answers for gates of some types."""
        for kind in kinds:
            for hook in self.gates.pop(kind, []):
                hook.tell("url", why)


def hooks_of(analysis: Fields, interval: timedelta) -> Hooks:
    """Give the hooks of an analysis, which is tried again after each interval, until its threshold."""
    out = Hooks()
    threshold = analysis.peek("threshold")
    tries = threshold if isinstance(threshold, int) and threshold > 0 else 1
    for hook in analysis.parts("webhooks"):
        kind = hook.text("type") or "rollout"
        if kind in (START, RAISE, PROMOTE):
            out.gates.setdefault(kind, []).append(hook)
            for name in _OF_A_CALL:
                hook.any(name)
            hook.tell("url", "a person approves in its place")
        elif kind not in _STEPS:
            hook.answer_for_all()
            hook.tell("", _OTHERS.get(kind, f"type {kind!r:.40} is none of Flagger's"))
        elif (step := _step(hook, interval * min(tries, 1000))) is not None:
            out.steps[hook.place] = step
            (out.before if kind == "pre-rollout" else out.during).append(hook)
    return out


def _step(hook: Fields, timeout: timedelta) -> Object | None:
    url = hook.text("url")
    if "metadata" in hook:
        hook.answer_for_all()
        hook.tell("", "what is posted is Mooring's: write what its metadata says as a step job")
        return None
    service = _SERVICE.fullmatch(url)
    said = {"url": f"{service[1]}.svc{service[2]}" if service else url, "timeout": duration_text(timeout)}
    if not takes(Webhook, said):
        hook.answer_for_all()
        hook.tell(
            "", "its url is neither https://HOST/PATH nor http://SERVICE.NAMESPACE.svc/PATH of the cluster"
        )
        return None
    hook.text("name")
    for name in ("timeout", "retries"):
        if name in hook:
            hook.tell(name, f"it is asked again for {said['timeout']}")
    return {"webhook": said}
