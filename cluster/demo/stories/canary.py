"""A canary that is promoted, a model that is refused, one that cannot start, a slow one, and drift."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.demo.manifests import NAME, PATIENT, monitor
from cluster.demo.story import Scene, Status, Story, ended


class Canary(Story):
    """The things that the demo shows when it is asked for nothing else."""

    is_judged = True

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        slow = ", v5 found too slow" if scene.judges else ""
        self.summary = f"v2 was promoted, v3 refused, v4 rolled back{slow}, and the drift caught."

    async def tell(self) -> None:
        """Tell what happens after the first model."""
        await self._better_model()
        await self._worse_model()
        await self._model_that_cannot_start()
        if self.scene.judges:
            await self._model_that_is_slow()
        await self._drift()

    async def _better_model(self) -> None:
        self.title(
            "2", "Apply v2 while users send requests: tests, then 10%, 50%, 100% of traffic, then promoted"
        )
        before = self.users.mark()
        await self.apply("v2")
        status = await self.follow(
            lambda s: s.get("phase") == "Promoted" and self.serves_other_than(s, "v1"), wrong=ended
        )
        self.remember("v2", status["stable"])
        self.show_metrics(status)
        answered = self.since(before)
        self.expect(answered[self.revisions["v1"]] > 0, "v1 answered while v2 was tried")
        await self.until(lambda: self.users.mark()[self.revisions["v2"]] > before[self.revisions["v2"]] + 50)
        self.show_traffic(self.since(before))
        self.none_lost()

    async def _worse_model(self) -> None:
        self.title(
            "3", "Apply v3, which has learnt from wrong labels: the tests fail, nothing of it is served"
        )
        before = self.users.mark()
        await self.apply("v3")
        status = await self.follow(
            lambda s: s.get("reason") == "CIFailed", wrong=lambda s: s.get("phase") == "Canary"
        )
        self.expect(status["stable"]["revision"] == self.revisions["v2"], "v2 is still the stable revision")
        await self.until(lambda: self.users.total > before.total() + 50)
        self.expect_all_by("v2", self.since(before), "v2 alone has answered")
        self.none_lost()

    async def _model_that_cannot_start(self) -> None:
        self.title(
            "4", "Apply v4, good but asking for a GPU that is not there: the canary stops and is rolled back"
        )
        before = self.users.mark()
        await self.apply("v4", gpus=1)
        status = await self.follow(
            lambda s: s.get("phase") == "RolledBack", wrong=lambda s: s.get("phase") in ("Failed", "Promoted")
        )
        self.expect(status["stable"]["revision"] == self.revisions["v2"], "v2 is still the stable revision")
        self.expect_all_by("v2", self.since(before), "v2 alone has answered")
        self.none_lost()

    async def _model_that_is_slow(self) -> None:
        self.title(
            "5",
            "Apply v5: it starts, passes its tests and answers rightly, but slowly: evidence rolls it back",
        )
        before = self.users.mark()
        await self.apply("v5", rollout={"steps": PATIENT})
        status = await self.follow(
            lambda s: s.get("phase") == "RolledBack", wrong=lambda s: s.get("phase") in ("Failed", "Promoted")
        )
        self.expect(status["reason"] == "AnalysisFailed", "what it answered has decided")
        self.expect(status["stable"]["revision"] == self.revisions["v2"], "v2 is still the stable revision")
        self.show_traffic(self.since(before))
        self.none_lost()

    async def _drift(self) -> None:
        self.title(
            "6" if self.scene.judges else "5",
            "The users' images fade: a DriftMonitor notices, and goes back to v1",
        )
        self.say(f"the pods keep what they answer, as Parquet: {self._kept()}")
        await self.scene.observer.apply(monitor(self.scene.work))
        await self._follow_drift(lambda s: s.get("reason") == "NoDrift")
        self.say("now every image is paler, and never quite white")
        self.users.faded = True
        self._show_drift(await self._follow_drift(lambda s: s.get("phase") == "Drifted"))
        status = await self.follow(
            lambda s: s.get("reason") == "RollbackRequested" and s.get("phase") == "RolledBack"
        )
        self.expect(status["stable"]["revision"] == self.revisions["v1"], "v1 is the stable revision again")
        before = self.users.mark()
        await self.until(lambda: self.since(before)[self.revisions["v1"]] > 50)
        self.show_traffic(self.since(before))
        self.none_lost()

    def _kept(self) -> Path:
        """Give the folder with what the stable revision keeps of its requests."""
        folder = self.scene.work / "captured" / f"deployment={NAME}" / f"revision={self.revisions['v2']}"
        self.expect(any(folder.rglob("*.parquet")), "the requests to v2 are in files")
        return folder

    async def _follow_drift(self, done: Callable[[Status], bool]) -> Mapping[str, Any]:
        return await self.scene.observer.follow("DriftMonitor", done, seconds=120, say=self.say)

    def _show_drift(self, status: Status) -> None:
        evaluation = status["evaluation"]
        since, until = evaluation["windowSince"], evaluation["windowUntil"]
        self.say(f"the window from {since} to {until}: {evaluation['windowRows']} requests")
        for feature in evaluation["features"][:3]:
            self.say(f"{feature['name']}: {feature.get('reason', '')}")
