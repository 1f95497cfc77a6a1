"""Answers that are kept: none is older than what is known, and each holds for a while only."""

from contextlib import nullcontext

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kept_answers import LASTS_S, KeptAnswers
from mooring_operator.adapters.recent import RecentObjects

from tests.unit.operator.adapters.model_api_server import RUNTIME
from tests.unit.operator.adapters.test_recent import History, asks, is_found


class Answers(RecentObjects):
    """Keeps what the API server has said in another way."""

    kept = KeptAnswers

    def __init__(self, **options):
        super().__init__(**options)
        self.answers = self.kept(options["clock"])


class Unmoved(Answers):
    """Keeps an answer whatever the watch tells."""

    class kept(KeptAnswers):
        def told(self, manifest):
            if manifest["kind"] == RUNTIME.kind:
                self._watched.add(RUNTIME.kind)


class Late(Answers):
    """Keeps an answer that was overtaken."""

    class kept(KeptAnswers):
        def answered(self, asked, found):
            asked.outdated = False
            super().answered(asked, found)


class Stubborn(Answers):
    """Keeps an answer that the operator's own write has made wrong."""

    class kept(KeptAnswers):
        def changing(self, ref):
            return nullcontext()


class Faithful(Answers):
    """Keeps what was said before it led."""

    class kept(KeptAnswers):
        def forget_all(self):
            pass


class Lasting(Answers):
    """Keeps an answer for longer."""

    class kept(KeptAnswers):
        def recall(self, ref):
            now, self._clock = self._clock, lambda: 0.0
            try:
                return super().recall(ref)
            finally:
                self._clock = now


@pytest.mark.parametrize(
    "fault", [Unmoved, Late, Stubborn, Faithful, Lasting], ids=lambda fault: fault.__name__
)
def test_each_fault_would_be_found(fault):
    assert is_found(fault)


WATCHED = [("put", "runtime"), ("tell", 0), asks("recall", "runtime")]
"""A runtime of which the watch has told, and the API server said what it is."""


@pytest.mark.parametrize(
    ("meanwhile", "recalled"),
    [
        ([], 1),
        ([("wait", LASTS_S)], 1),
        ([("wait", LASTS_S + 0.1)], 0),
        ([("put", "runtime"), ("tell", 0)], 0),
        ([("delete", "runtime"), ("tell", 0)], 0),
        ([asks("apply", "runtime")], 0),
        ([asks("remove", "runtime")], 0),
        ([("lead",)], 0),
        ([("delete", "runtime"), ("tell", 0), asks("recall", "runtime")], 1),
        ([asks("recall", "isvc"), ("put", "isvc"), ("tell", 0)], 1),
    ],
    ids=[
        "at once",
        "later",
        "too late",
        "edited",
        "deleted",
        "written",
        "removed",
        "leading",
        "none",
        "others",
    ],
)
def test_what_many_share_is_asked_for_once_until_something_is_heard_of_it(meanwhile, recalled):
    assert History().play([*WATCHED, *meanwhile, asks("recall", "runtime")]).recalled == recalled


def test_of_a_kind_that_no_watch_tells_of_everything_is_asked_for():
    history = History().play([("put", "runtime"), asks("recall", "runtime"), asks("recall", "runtime")])
    assert (history.recalled, history.server.requests) == (0, 2)


def test_answers_that_are_kept_take_so_many_bytes():
    now = 0.0
    kept = KeptAnswers(lambda: now)
    large = {"kind": "ServingRuntime", "apiVersion": RUNTIME.api_version, "spec": "x" * 100_000}
    refs = [Ref(RUNTIME, "ns", f"r{number}") for number in range(200)]
    kept.told({**large, "metadata": {"name": "r", "namespace": "ns"}})
    for ref in refs:
        kept.answered(kept.ask(ref), large)
    assert [kept.recall(ref) is not None for ref in (refs[0], refs[-1])] == [False, True]
    assert kept._size <= 8 << 20
    larger = Ref(RUNTIME, "ns", "larger")
    kept.answered(kept.ask(larger), {**large, "spec": "x" * 300_000})
    assert kept.recall(larger) is None
    now = LASTS_S + 1
    kept.answered(kept.ask(refs[0]), large)
    assert len(kept._said) == 1
