"""What the demo shows, step by step. Every step checks that it showed what it says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.demo.manifests import NAME, NAMESPACE, deployment, monitor
from cluster.demo.models import Digits
from cluster.demo.observer import Observer, Unexpected
from cluster.demo.requests import Users

Status = Mapping[str, Any]
_ENDED = ("RolledBack", "Failed")


class Story:
    """The five things that the demo shows."""

    def __init__(
        self, *, observer: Observer, front: str, work: Path, digits: Digits, console: Console
    ) -> None:
        self._observer = observer
        self._work = work
        self._console = console
        window = work / "data" / "window.parquet"
        self.users = Users(f"{front}/{NAMESPACE}/{NAME}", NAME, digits.live, window)
        self._revisions: dict[str, str] = {}

    async def run(self) -> None:
        """Tell it.

        Raises:
            Unexpected: a step did not show what it should have.
        """
        await self._first_model()
        sending = asyncio.create_task(self.users.run())
        try:
            await self._better_model()
            await self._worse_model()
            await self._model_that_cannot_start()
            await self._drift()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _first_model(self) -> None:
        self._title("1", "Apply v1: it is tested, then served")
        await self._observer.apply(deployment(self._work, "v1"))
        status = await self._follow(lambda s: s.get("phase") == "Promoted", wrong=_ended)
        self._remember("v1", status)
        self._show_metrics(status)

    async def _better_model(self) -> None:
        self._title(
            "2", "Apply v2 while users send requests: tests, then 10%, 50%, 100% of traffic, then promoted"
        )
        before = self.users.mark()
        await self._observer.apply(deployment(self._work, "v2"))
        status = await self._follow(
            lambda s: s.get("phase") == "Promoted" and self._serves_other_than(s, "v1"), wrong=_ended
        )
        self._remember("v2", status)
        self._show_metrics(status)
        answered = self._since(before)
        self._expect(answered[self._revisions["v1"]] > 0, "v1 answered while v2 was tried")
        await self._until(
            lambda: self.users.mark()[self._revisions["v2"]] > before[self._revisions["v2"]] + 50
        )
        self._show_traffic(self._since(before))
        self._none_lost()

    async def _worse_model(self) -> None:
        self._title(
            "3", "Apply v3, which has learnt from wrong labels: the tests fail, nothing of it is served"
        )
        before = self.users.mark()
        await self._observer.apply(deployment(self._work, "v3"))
        status = await self._follow(
            lambda s: s.get("reason") == "CIFailed", wrong=lambda s: s.get("phase") == "Canary"
        )
        self._expect(status["stable"]["revision"] == self._revisions["v2"], "v2 is still the stable revision")
        await self._until(lambda: self.users.total > sum(before.values()) + 50)
        answered = self._since(before)
        self._show_traffic(answered)
        self._expect(set(answered) == {self._revisions["v2"]}, "v2 alone has answered")
        self._none_lost()

    async def _model_that_cannot_start(self) -> None:
        self._title(
            "4", "Apply v4, good but asking for a GPU that is not there: the canary stops and is rolled back"
        )
        before = self.users.mark()
        await self._observer.apply(deployment(self._work, "v4", gpus=1))
        status = await self._follow(
            lambda s: s.get("phase") == "RolledBack", wrong=lambda s: s.get("phase") in ("Failed", "Promoted")
        )
        self._expect(status["stable"]["revision"] == self._revisions["v2"], "v2 is still the stable revision")
        answered = self._since(before)
        self._show_traffic(answered)
        self._expect(set(answered) == {self._revisions["v2"]}, "v2 alone has answered")
        self._none_lost()

    async def _drift(self) -> None:
        self._title("5", "The users' images fade: a DriftMonitor notices, and goes back to v1")
        await self._until((self._work / "data" / "window.parquet").exists)
        await self._observer.apply(monitor(self._work))
        await self._follow_drift(lambda s: s.get("reason") == "NoDrift")
        self._say("now every image is paler, and never quite white")
        self.users.faded = True
        drift = await self._follow_drift(lambda s: s.get("phase") == "Drifted")
        self._show_drift(drift)
        status = await self._follow(
            lambda s: s.get("reason") == "RollbackRequested" and s.get("phase") == "RolledBack"
        )
        self._expect(status["stable"]["revision"] == self._revisions["v1"], "v1 is the stable revision again")
        before = self.users.mark()
        await self._until(lambda: self._since(before)[self._revisions["v1"]] > 50)
        answered = self._since(before)
        self._show_traffic(answered)
        self._none_lost()

    # --- looking --------------------------------------------------------------------------------

    async def _follow(
        self, done: Callable[[Status], bool], wrong: Callable[[Status], bool] = lambda s: False
    ) -> Status:
        return await self._observer.follow("ModelDeployment", done, seconds=120, say=self._say, wrong=wrong)

    async def _follow_drift(self, done: Callable[[Status], bool]) -> Status:
        return await self._observer.follow("DriftMonitor", done, seconds=60, say=self._say)

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(60):
                while not condition():  # noqa: ASYNC110 - the condition is about files and counts
                    await asyncio.sleep(0.1)
        except TimeoutError:
            failures = "; ".join(self.users.failures[-3:])
            raise Unexpected(
                f"the requests do not come to what they should; failures: {failures or 'none'}"
            ) from None

    def _serves_other_than(self, status: Status, version: str) -> bool:
        return bool(status.get("stable", {}).get("revision") != self._revisions[version])

    def _remember(self, version: str, status: Status) -> None:
        self._revisions[version] = status["stable"]["revision"]

    def _since(self, before: Counter[str]) -> Counter[str]:
        return self.users.mark() - before

    def _expect(self, true: bool, what: str) -> None:
        if not true:
            raise Unexpected(f"not so: {what}")
        self._console.print(f"    [green]✓[/green] {what}")

    def _none_lost(self) -> None:
        lost = self.users.failures
        self._expect(
            not lost, f"none of {self.users.total} requests was lost" + (f": {lost[:3]}" if lost else "")
        )

    # --- telling --------------------------------------------------------------------------------

    def _title(self, number: str, text: str) -> None:
        self._console.print()
        self._console.print(f"[bold cyan]{number}[/bold cyan]  [bold]{text}[/bold]")

    def _say(self, line: str) -> None:
        self._console.print(f"    [dim]·[/dim] {line}", highlight=False)

    def _show_metrics(self, status: Status) -> None:
        metrics = status.get("ci", {}).get("metrics", {})
        shown = ", ".join(
            f"{name} {metrics[name]:.3g}" for name in ("accuracy", "latencyP95Ms") if name in metrics
        )
        self._say(f"the tests measured {shown}")

    def _show_traffic(self, answered: Counter[str]) -> None:
        names = {revision: version for version, revision in self._revisions.items()}
        total = sum(answered.values()) or 1
        parts = [
            f"{names.get(rev, rev)} {count} ({count / total:.0%})" for rev, count in answered.most_common()
        ]
        self._say(f"requests answered meanwhile: {', '.join(parts)}")

    def _show_drift(self, status: Status) -> None:
        for feature in status["evaluation"]["features"][:3]:
            self._say(f"{feature['name']}: {feature.get('reason', '')}")


def _ended(status: Status) -> bool:
    return status.get("phase") in _ENDED
