"""What every story of the demo needs: it follows a rollout, checks what it shows, and tells it."""

import asyncio
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cluster.demo.manifests import NAME, NAMESPACE, deployment
from cluster.demo.models import Digits
from cluster.demo.observer import Observer, Unexpected
from cluster.demo.requests import Caller, Entrance, Users

Status = Mapping[str, Any]
Rollout = Mapping[str, Any]

_ENDED = ("RolledBack", "Failed")
_COMMAND_S = 60


async def ask_mooring(kubeconfig: Path, word: str) -> tuple[int | None, str]:
    """Run a command of `mooring` about the demo's deployment; give its exit status, and what it writes."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("mooring"), word, NAME, "-n", NAMESPACE,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_S)
    return process.returncode, output.decode()


@dataclass(frozen=True)
class Scene:
    """Where a story happens.

    entrance: where users send requests. preview: where a revision without traffic is asked; None where there is no such
    address.
    """

    observer: Observer
    entrance: Entrance
    preview: Entrance | None
    kubeconfig: Path
    work: Path
    digits: Digits
    console: Console
    judges: bool = False
    """Whether there is what counts answers, so that canaries are judged by them."""
    targets: Path = Path()
    """Where files name to Prometheus what else it should scrape, where there is one."""


class Story(ABC):
    """Follows the demo's deployment. Every step of a story checks that it showed what it says."""

    callers: Sequence[Caller] = (Caller(),)
    is_judged = False
    """Whether new revisions are judged by what they answer."""
    summary: str
    """What was shown, for the last line."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.users = Users(scene.entrance, NAME, scene.digits.live, self.callers)
        self.revisions: dict[str, str] = {}
        """By version."""
        self._weights: tuple[int, int] | None = None
        """Percent of traffic that the new revision should get, and gets."""
        self._in_effect: Counter[str] = Counter()
        """The counts when they were last seen to change."""

    async def run(self) -> None:
        """Tell it.

        Raises:
            Unexpected: a step did not show what it should have.
        """
        await self.serve_first()
        sending = asyncio.create_task(self.users.run())
        try:
            await self.tell()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    @abstractmethod
    async def tell(self) -> None:
        """Tell what happens while users send requests."""

    async def serve_first(self) -> None:
        """Have v1 served: a first revision has nothing to share traffic with."""
        self.title("1", "Apply v1: it is tested, then served")
        await self.apply("v1")
        status = await self.follow(lambda s: s.get("phase") == "Promoted", wrong=ended)
        self.remember("v1", status["stable"])
        self.show_metrics(status)
        if (router := status.get("router")) is not None:
            self.say(f"router {router['name']}: {router['message']}")

    # --- acting ---------------------------------------------------------------------------------

    async def apply(
        self, version: str, *, gpus: int = 0, rollout: Rollout | None = None, test_data: str = "test"
    ) -> None:
        """Apply the deployment with a version of the model."""
        judged = self.scene.judges and self.is_judged
        wanted = deployment(
            self.scene.work, version, gpus=gpus, rollout=rollout, judged=judged, test_data=test_data
        )
        await self.scene.observer.apply(wanted)

    async def command(self, word: str) -> float:
        """Give a command as a person would; give the time, by `time.monotonic`, at which it was typed."""
        typed = time.monotonic()
        self.say(f"[bold]$ mooring {word} {NAME} -n {NAMESPACE}[/bold]")
        code, output = await ask_mooring(self.scene.kubeconfig, word)
        if code != 0:
            raise Unexpected(f"mooring {word} ended with {code}: {output.strip()}")
        return typed

    # --- looking --------------------------------------------------------------------------------

    async def follow(
        self, done: Callable[[Status], bool], wrong: Callable[[Status], bool] = lambda s: False
    ) -> Status:
        """Say what becomes of the deployment until `done`; give its status."""
        status = await self.scene.observer.follow(
            "ModelDeployment", done, seconds=120, say=self.say, wrong=wrong, look=self._show_weights
        )
        self._weights = None
        return status

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until requests or files are as they should be."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - the condition is about files and counts
                    await asyncio.sleep(0.1)
        except TimeoutError:
            failures = "; ".join(self.users.failures[-3:])
            raise Unexpected(
                f"the requests do not come to what they should; failures: {failures or 'none'}"
            ) from None

    async def requests(self, count: int) -> Counter[str]:
        """Wait for so many more requests; give who answered them, by revision."""
        before = self.users.mark()
        await self.until(lambda: self.since(before).total() >= count)
        return self.since(before)

    def remember(self, version: str, revision: Mapping[str, Any]) -> None:
        """Know a version by its revision from now on."""
        self.revisions[version] = revision["revision"]

    def serves_other_than(self, status: Status, version: str) -> bool:
        """Whether another version's revision is stable."""
        return bool(status.get("stable", {}).get("revision") != self.revisions[version])

    def since(self, before: Counter[str]) -> Counter[str]:
        """Give who has answered since."""
        return self.users.mark() - before

    def expect(self, true: bool, what: str) -> None:
        """Say that something is so; raises Unexpected where it is not."""
        if not true:
            failures = "; ".join(self.users.failures[:3])
            raise Unexpected(f"not so: {what}; requests that failed: {failures or 'none'}")
        self.scene.console.print(f"    [green]✓[/green] {what}")

    def expect_all_by(self, version: str, answered: Counter[str], who: str) -> None:
        """Say that one version alone has answered."""
        self.expect(set(answered) == {self.revisions[version]}, f"{who}: {self.shares(answered)}")

    def none_lost(self) -> None:
        """Say that every request of users was answered."""
        lost = self.users.failures
        self.expect(
            not lost, f"none of {self.users.total} requests was lost" + (f": {lost[:3]}" if lost else "")
        )

    # --- telling --------------------------------------------------------------------------------

    def title(self, number: str, text: str) -> None:
        """Begin an act."""
        self.scene.console.print()
        self.scene.console.print(f"[bold cyan]{number}[/bold cyan]  [bold]{text}[/bold]")

    def say(self, line: str) -> None:
        """Say one thing that happens."""
        self.scene.console.print(f"    [dim]·[/dim] {line}", highlight=False)

    def quote(self, text: str) -> None:
        """Show what a program has written."""
        for line in text.splitlines():
            self.scene.console.print(f"      [dim]{escape(line)}[/dim]", highlight=False)

    def show_metrics(self, status: Status) -> None:
        """Say what the tests measured."""
        metrics = status.get("ci", {}).get("metrics", {})
        shown = ", ".join(
            f"{name} {metrics[name]:.3g}" for name in ("accuracy", "latencyP95Ms") if name in metrics
        )
        self.say(f"the tests measured {shown}")

    def show_traffic(self, answered: Counter[str]) -> None:
        """Say who answered requests."""
        self.say(f"requests answered meanwhile: {self.shares(answered)}")

    def shares(self, answered: Counter[str]) -> str:
        """Give counts and percentages, by version."""
        names = {revision: version for version, revision in self.revisions.items()}
        total = answered.total() or 1
        parts = [
            f"{names.get(rev, rev)} {count} ({count / total:.0%})" for rev, count in answered.most_common()
        ]
        return ", ".join(parts)

    def _show_weights(self, status: Status) -> None:
        """Say the candidate's weights whenever they change, and who has answered while one was in effect."""
        candidate = status.get("candidate") or {}
        if not candidate.get("begun") or "stable" not in status:
            weights = None
        else:
            self.revisions.setdefault(Path(candidate["modelUri"]).name, candidate["revision"])
            weights = (candidate.get("weight", 0), candidate.get("routed") or 0)
        if weights == self._weights:
            return
        if self._weights is not None and self._weights[0] == self._weights[1]:
            answered = self.since(self._in_effect)
            self.say(
                f"while {self._weights[0]}% was in effect, users were answered by {self.shares(answered)}"
            )
        if weights is not None:
            self.say(f"weight of the new revision: {weights[0]}% asked, {weights[1]}% routed")
        self._weights, self._in_effect = weights, self.users.mark()


def waits(status: Status) -> bool:
    """Whether a rollout waits for somebody to approve."""
    return status.get("phase") in ("AwaitingApproval", "Paused")


def ended(status: Status) -> bool:
    """Whether a rollout has failed for good."""
    return status.get("phase") in _ENDED
