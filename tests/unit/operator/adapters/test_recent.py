"""Reads that the watch answers: never older than what the operator knows, and only for a while."""

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube import SingleConfig
from lightkube.config.models import Cluster, Context, User
from mooring_operator.adapters.api_server import Connection
from mooring_operator.adapters.cluster import ClusterError, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.recent import LASTS_S, LONGEST_S, RecentObjects
from mooring_operator.adapters.watch_streams import HANDED_OVER_S, WatchStream

from tests.unit.operator.adapters.model_api_server import NEW, REFS, RUNTIME, SERVICE, ModelApiServer

CONFIG = SingleConfig(
    context_name="c",
    context=Context(cluster="c", user="u"),
    cluster=Cluster(server="http://api"),
    user=User(),
)
REF = REFS["isvc"]


class History:
    """Plays what happens to an operator, its API server and its watch, and judges every read."""

    def __init__(self, recent=RecentObjects):
        self.now, self.server = 100.0, ModelApiServer(lambda: self.now)
        self.recent = recent(clock=lambda: self.now)
        self.cluster = KubernetesCluster(Connection(CONFIG, http=self.server), recent=self.recent)
        self.seen = {}
        # By object: the version below which nothing may be read, as of the operator's own calls; as of the watch; and
        # as of the replica that led before.
        self.own, self.told, self.before = (defaultdict(int) for _ in range(3))
        self.told_at = {}
        self.recalled = self.by_stream = 0

    def play(self, steps):
        # Nothing in it waits, so that no event loop is needed.
        with pytest.raises(StopIteration):
            self._play(steps).send(None)
        return self

    async def _play(self, steps):
        for what, *rest in steps:
            if what == "operator":
                await self.call(*rest)
            else:
                self.happen((what, *rest))

    def happen(self, step):
        match step:
            case ("put", name):
                self.server.put(name)
            case ("delete", name):
                self.server.delete(name)
            case ("tell", which):
                self.tell(self.server.tell(which))
            case ("break",):
                self.hand_over()
                self.server.break_watch()
            case ("wait", seconds):
                self.hand_over()
                self.now += seconds
            case ("lead",):
                self.before = defaultdict(lambda version=self.server.version: version)
                for name, found in self.server.objects.items():
                    self.before[name] = int(found["metadata"]["resourceVersion"])
                self.recent.forget_all()

    def hand_over(self):
        while (late := self.server.late()) is not None:
            self.tell(late)

    def tell(self, event):
        if event is None:
            return
        manifest = event.manifest
        if event.type == "DELETED":
            self.recent.gone(manifest)
        else:
            self.recent.told(manifest, listed=not event.type)
        name = next(
            name
            for name, ref in REFS.items()
            if (ref.kind.kind, ref.name) == (manifest["kind"], manifest["metadata"]["name"])
        )
        self.told[name] = max(self.told[name], event.version)
        self.told_at[name, event.version] = self.now

    async def call(self, how, name, before, after, lost):
        self.server.meanwhile = tuple(
            lambda s=steps: [self.happen(step) for step in s] for steps in (before, after)
        )
        self.server.lost, ref, seen = lost, REFS[name], self.seen.get(name)
        try:
            if how in ("recall", "read"):
                await self.read(name, ref, recent=how == "recall")
            elif how == "create":
                self.saw(name, await self.cluster.create({**_empty(ref), "spec": {}}))
            elif seen is not None:
                await self.write(how, name, seen)
        except ClusterError:
            pass
        finally:
            self.server.meanwhile, self.server.lost = (lambda: None, lambda: None), False

    async def write(self, how, name, seen):
        before = self.server.version
        try:
            match how:
                case "status":
                    self.saw(name, await self.cluster.write_status(seen, {"observedGeneration": 1}))
                case "apply":
                    self.saw(name, await self.cluster.change(seen, {"spec": {"ours": before}}))
                case "remove":
                    await self.cluster.delete(seen)
        finally:
            # Whether or not it was answered: what the write has made of the object holds.
            ours = [_version(state) for state in self.server.states[name] if _is_ours(state, how, before)]
            there = self.server.objects.get(name)
            if how == "remove" and (there is None or there["metadata"]["uid"] != seen["metadata"]["uid"]):
                ours.append(_version(seen) + 1)
            # Later ones are of others, who leave what we wrote.
            self.own[name] = max([self.own[name], *ours[:1]])

    async def read(self, name, ref, *, recent):
        requests, states = self.server.requests, [0, *map(_version, self.server.states[name])]
        found = await self.cluster.get(ref, recent=recent)
        if self.server.requests == requests:
            self.judge(name, found)
        if found is None:
            self.seen.pop(name, None)
        if found is None and self.server.requests != requests:
            # All that there was is gone; something may have been made since.
            self.own[name] = max(self.own[name], states[-1] + 1)
        elif found is not None:
            self.saw(name, found)

    def saw(self, name, found):
        self.seen[name] = found
        self.own[name] = max(self.own[name], _version(found))

    def judge(self, name, found):
        """A read that no request was made for."""
        self.recalled += 1
        if name == "runtime":
            self.judge_answer(name, found)
            return
        version = _version(found)
        assert found in self.server.states[name], "nobody has ever written it"
        self.judge_age(found, self.told_at[name, version])
        if found.get("status") == NEW:
            # The first thing that is done about it is to write its status: that fails where it is not as it was read.
            return
        assert version >= self.own[name], "the operator knew better"
        assert version >= self.told[name], "the watch has told of a later state"
        assert version >= self.before[name], "who led before has written since"

    def judge_answer(self, name, found):
        """It is what the API server said a moment ago, of which nothing else has been heard since."""
        assert self.now - self.server.asked_at[name] <= LASTS_S, "it is too old"
        states = self.server.states[name]
        assert found is None or found in states, "nobody has ever written it"
        version = _version(found) if found is not None else self.server.missed_at[name]
        for known in (self.own, self.told, self.before):
            assert version >= known[name], "more was known"

    def judge_age(self, found, told_at):
        """It was told a moment ago, or it was so a moment ago; but where nothing tells that it is gone."""
        ended_at = self.server.ended_at.get(_version(found), self.now)
        longest = LONGEST_S if found["metadata"]["uid"] in self.server.vanished else 0.0
        self.by_stream += self.now - told_at > LASTS_S
        assert self.now - told_at <= max(LASTS_S, longest) or (
            self.now - ended_at <= LASTS_S and self.now - told_at <= LONGEST_S
        ), "it is too old"


def _is_ours(state, how, before):
    made = _version(state) > before
    return made and (
        state.get("status") == {"observedGeneration": 1} if how == "status" else "ours" in state["spec"]
    )


def _version(manifest):
    return int(manifest["metadata"]["resourceVersion"])


def _empty(ref):
    metadata = {"namespace": ref.namespace, "name": ref.name}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": metadata}


def history_of(seed):
    """Give a history: what others do, what the watch tells, and what the operator asks for and writes meanwhile."""
    rand = random.Random(seed)

    def happens():
        name = rand.choice(list(REFS))
        return rand.choice([("put", name), ("delete", name), *[("tell", rand.randrange(3))] * 3])

    def some():
        return [happens() for _ in range(rand.choice([0, 0, 0, 1, 2]))]

    def call():
        how = rand.choice(["recall", "recall", "recall", "read", "create", "status", "apply", "remove"])
        return "operator", how, rand.choice(list(REFS)), some(), some(), rand.random() < 0.2

    def other():
        return rand.choice([("break",), ("lead",), ("wait", 3.0), ("wait", 20.0)])

    def busy():
        """One service is made again and again, whose events vouch for what was told of the other."""
        yield "wait", rand.choice([1.0, 4.0, 8.0])
        yield "operator", rand.choice(["create", "create", "remove", "read"]), "other", some(), some(), False
        tells, puts = [("tell", 0), ("tell", 1)], [("put", "isvc"), ("put", "other")]
        yield from rand.choices([*tells, *puts], [9, 9, 1, 1], k=4)
        if rand.random() < 0.1:
            yield "delete", rand.choice(["isvc", "other"])
            yield from [("break",), ("tell", 0), ("tell", 1)]
        for how in rand.choices(["recall", "read"], [5, 1], k=2):
            yield "operator", how, rand.choice(["isvc", "isvc", "md"]), [], [], False

    if rand.random() < 0.5:
        return [rand.choices([happens, call, other], [5, 5, 1])[0]() for _ in range(60)]
    return [("put", "isvc"), ("put", "other"), *[step for _ in range(15) for step in busy()]]


@given(st.integers(0, 2**32))
@settings(max_examples=2000)
def test_no_read_is_older_than_what_is_known(seed):
    History().play(history_of(seed))


def test_histories_have_reads_that_only_the_rest_of_the_stream_vouches_for():
    assert sum(History().play(history_of(seed)).by_stream for seed in range(400)) > 20


class Deaf(RecentObjects):
    """Does not mind what the API server has answered with."""

    def answered(self, ref, manifest, **sent):
        super().answered(ref, manifest, **sent)
        if ref.kind != RUNTIME:
            self._known[ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name].answered = 0


class Careless(RecentObjects):
    """Keeps what it knows of what is being written."""

    def forget(self, ref):
        return self._clock()


class Mourning(RecentObjects):
    def gone(self, manifest):
        pass


class Loyal(RecentObjects):
    """Holds what it was told before it led."""

    def forget_all(self):
        pass


class Hasty(RecentObjects):
    """Trusts the watch alone."""

    def recall(self, ref):
        known = self._known.get((ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name))
        if known is not None:
            known.answered = known.answered or 0
        return super().recall(ref)


class Patient(RecentObjects):
    """Knows no end."""

    def recall(self, ref):
        now, self._clock = self._clock, lambda: 0.0
        try:
            return super().recall(ref)
        finally:
            self._clock = now


class Streams(RecentObjects):
    """Has watch streams of another kind."""

    stream = WatchStream

    def __init__(self, **options):
        super().__init__(**options)
        self._streams = defaultdict(lambda: self.stream(LASTS_S))


class Sudden(Streams):
    """Takes what one object's event shows for what all have been told."""

    class stream(WatchStream):
        def current_at(self, now):
            return super().current_at(now + HANDED_OVER_S)


class Unending(Streams):
    """Takes a watch that has been current once for one that is."""

    class stream(WatchStream):
        def current_at(self, now):
            return now if super().current_at(now) > 0 else float("-inf")


class Credulous(RecentObjects):
    """Takes every answer for one that made a version."""

    def answered(self, ref, manifest, *, sent_at=None):
        super().answered(ref, manifest, sent_at=self._clock())


class Orderly(RecentObjects):
    """Takes a list for a stream."""

    def told(self, manifest, *, listed=False):
        super().told(manifest)


class Lenient(RecentObjects):
    """Counts what was there when a list was made as told by the stream after it."""

    def told(self, manifest, *, listed=False):
        super().told(manifest, listed=listed)
        self._stream((manifest["apiVersion"], manifest["kind"], "", "")).listed_at = float("-inf")


def is_found(fault):
    """Whether one of a thousand histories shows the fault."""

    def breaks(seed):
        try:
            History(fault).play(history_of(seed))
        except AssertionError:
            return True
        return False

    return any(breaks(seed) for seed in range(1000))


@pytest.mark.parametrize(
    "fault",
    [
        *(Deaf, Careless, Mourning, Loyal, Hasty, Patient),
        *(Unending, Orderly),
    ],
    ids=lambda fault: fault.__name__,
)
def test_each_fault_would_be_found(fault):
    assert is_found(fault)


def asks(how, name):
    return "operator", how, name, [], [], False


HERE = [asks("create", "isvc"), ("tell", 0)]
"""A service that the watch has told of, and the operator knows."""
RARE = {
    Sudden: [
        *(*HERE, ("put", "isvc"), ("wait", 12.0), asks("create", "other")),
        # Read after the change of the first, and handed over before it.
        *(("tell", 1), asks("recall", "isvc")),
    ],
    Credulous: [
        *(*HERE, ("put", "other"), ("put", "isvc"), ("wait", 12.0), asks("read", "other")),
        *(("tell", 0), ("wait", HANDED_OVER_S), asks("recall", "isvc")),
    ],
    Lenient: [
        # It vanishes while the watch is broken, and another one is left to list.
        *(*HERE, ("put", "other"), ("delete", "isvc"), ("break",), ("tell", 0), ("wait", 6.0)),
        *(asks("read", "other"), asks("remove", "other"), ("tell", 0), asks("create", "other"), ("tell", 0)),
        *(("wait", 6.0), asks("recall", "isvc")),
    ],
}


@pytest.mark.parametrize(("fault", "history"), RARE.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_rare_fault_is_found(fault, history):
    assert History().play(history).recalled == 0
    with pytest.raises(AssertionError, match="it is too old"):
        History(fault).play(history)


def test_reads_are_answered_by_the_watch_once_it_knows_what_the_operator_knows():
    history = History().play(
        [
            ("operator", "create", "isvc", [], [], False),
            # Not told yet: asked for.
            ("operator", "recall", "isvc", [], [], False),
            ("tell", 0),
            ("operator", "recall", "isvc", [], [], False),
            ("put", "isvc"),
            ("tell", 0),
            ("operator", "recall", "isvc", [], [], False),
        ]
    )
    assert (history.recalled, history.server.requests) == (2, 2)


def test_new_deployment_is_first_read_from_the_watch():
    history = History().play([("put", "md"), ("tell", 0), ("operator", "recall", "md", [], [], False)])
    assert (history.recalled, history.server.requests) == (1, 0)


def test_object_that_another_replica_may_have_written_is_asked_for():
    history = History().play([("put", "isvc"), ("tell", 0), ("operator", "recall", "isvc", [], [], False)])
    assert (history.recalled, history.server.requests) == (0, 1)


def test_read_for_a_decision_goes_to_the_api_server():
    history = History().play([("put", "md"), ("tell", 0), ("operator", "read", "md", [], [], False)])
    assert (history.recalled, history.server.requests) == (0, 1)


def made_and_told(name):
    return [
        ("operator", "create", name, [], [], False),
        ("tell", 0),
        ("operator", "remove", name, [], [], False),
        ("tell", 0),
        ("wait", 5.0),
    ]


def test_watch_that_tells_all_else_vouches_for_what_it_told_long_ago():
    history = History().play([*made_and_told("isvc")[:2], *made_and_told("other") * 8])
    requests = history.server.requests
    history.play([("operator", "recall", "isvc", [], [], False)])
    assert (history.by_stream, history.server.requests) == (1, requests)
    history.play([("wait", LASTS_S), ("operator", "recall", "isvc", [], [], False)])
    assert (history.by_stream, history.server.requests) == (1, requests + 1)


def test_what_vanished_unseen_is_recalled_for_a_minute_at_most():
    history = History().play([*made_and_told("isvc")[:2], ("delete", "isvc"), ("break",)])
    for _ in range(20):
        history.play([*made_and_told("other"), ("operator", "recall", "isvc", [], [], False)])
    assert 0 < history.by_stream * 5.0 <= LONGEST_S - LASTS_S


def test_watches_of_other_namespaces_vouch_for_nothing():
    now = [0.0]
    for by_namespace, expected in ((True, None), (False, service("s"))):
        recent = RecentObjects(by_namespace=by_namespace, clock=lambda: now[0])
        told(recent, service("s"))
        now[0] += LASTS_S
        theirs = service("other", version=2, namespace="theirs")
        recent.answered(ref("other", "theirs"), theirs, sent_at=now[0])
        recent.told(theirs)
        now[0] += HANDED_OVER_S
        assert recent.recall(ref("s")) == expected


# --- bounds -------------------------------------------------------------------------------------


def service(name, size=0, version=1, **metadata):
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": name,
            "resourceVersion": str(version),
            **metadata,
        },
        "spec": {"text": "x" * size},
    }


def ref(name, namespace="ns"):
    return Ref(SERVICE, namespace, name)


def told(recent, manifest):
    recent.told(manifest)
    recent.answered(ref(manifest["metadata"]["name"]), manifest)


def test_oldest_objects_make_room():
    recent = RecentObjects(most_bytes=64_000)
    for number in range(200):
        told(recent, service(f"s-{number}", 500))
    kept = [number for number in range(200) if recent.recall(ref(f"s-{number}")) is not None]
    assert kept == list(range(200 - len(kept), 200))
    assert 60 <= len(kept) <= 128


def test_object_that_would_take_the_room_of_many_is_not_kept():
    recent = RecentObjects(most_bytes=64_000)
    told(recent, service("s", 10))
    assert recent.recall(ref("s")) is not None
    told(recent, service("s", 1000, version=2))
    assert recent.recall(ref("s")) is None


def test_nothing_is_kept_of_what_was_last_told_long_ago():
    now = [0.0]
    recent = RecentObjects(clock=lambda: now[0])
    for number in range(100):
        told(recent, service(f"s-{number}"))
        recent.answered(ref(f"foreign-{number}"), service(f"foreign-{number}"))
    now[0] += LONGEST_S + 1
    told(recent, service("last"))
    assert len(recent._known) == 1


@pytest.mark.parametrize("version", ["", "x1", "１", "-1"])
def test_versions_of_another_form_are_not_compared(version):
    recent = RecentObjects()
    told(recent, service("s", version=version))
    assert recent.recall(ref("s")) is None


def test_reader_may_change_what_it_was_given():
    recent = RecentObjects()
    told(recent, service("s"))
    recent.recall(ref("s"))["spec"]["text"] = "changed"
    assert recent.recall(ref("s"))["spec"]["text"] == ""


def test_other_object_of_the_name_is_asked_for():
    recent = RecentObjects()
    told(recent, service("s", version=5))
    recent.told(service("s", version=9, uid="another"))
    assert recent.recall(ref("s")) is None
    recent.told(service("s", version=7))
    assert recent.recall(ref("s")) is None
