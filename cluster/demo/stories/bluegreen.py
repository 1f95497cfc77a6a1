"""BlueGreen: a preview, a switch at once, and a switch back."""

import asyncio
from collections import Counter

from cluster.demo.manifests import NAME, NAMESPACE
from cluster.demo.requests import Users
from cluster.demo.story import Story, ended, waits

_ROLLOUT = {"strategy": "BlueGreen", "scaleDownDelay": "60s"}


class BlueGreen(Story):
    """v2 is tried at its preview address while users have v1; then everybody has it, and a moment later v1 again."""

    summary = "v2 was previewed, switched to, and switched back from; no user noticed but by the answers."

    async def tell(self) -> None:
        """Tell what happens after the first model."""
        await self._preview()
        await self._switch()
        await self._switch_back()

    async def _preview(self) -> None:
        self.title(
            "2", "Apply v2 with strategy BlueGreen: it is tested, and gets all its pods and a preview address"
        )
        before = self.users.mark()
        await self.apply("v2", rollout=_ROLLOUT)
        status = await self.follow(waits, wrong=ended)
        self.remember("v2", status["candidate"])
        self.expect_all_by(
            "v2", await self._ask_preview(20), f"http://{NAME}-preview.{NAMESPACE} is answered by v2 alone"
        )
        self.expect_all_by("v1", self.since(before), "users are answered by v1 alone")
        self.none_lost()

    async def _ask_preview(self, count: int) -> Counter[str]:
        """Ask at the preview address, as whoever tries v2 would."""
        assert self.scene.preview is not None
        tester = Users(self.scene.preview, NAME, self.scene.digits.live)
        trying = asyncio.create_task(tester.run())
        await self.until(lambda: tester.total >= count)
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        self.expect(not tester.failures, f"{tester.total} requests to the preview, none lost")
        return tester.answered

    async def _switch(self) -> None:
        self.title("3", "Somebody approves: all users get v2 at once")
        asked = await self.command("approve")
        await self.until(lambda: self.users.answered[self.revisions["v2"]] > 0)
        await self.follow(lambda s: self.serves_other_than(s, "v1"), wrong=ended)
        self._show_switch("v1", "v2", asked)
        self.expect_all_by("v2", await self.requests(100), "users are answered by v2 alone")
        self.none_lost()

    async def _switch_back(self) -> None:
        self.title("4", "They do not like it: all users get v1 again, whose pods are still there")
        asked = await self.command("rollback")
        await self.follow(
            lambda s: s.get("phase") == "RolledBack" and not self.serves_other_than(s, "v1"),
            wrong=lambda s: s.get("phase") == "Failed",
        )
        self._show_switch("v2", "v1", asked)
        self.expect_all_by("v1", await self.requests(100), "users are answered by v1 alone")
        self.none_lost()

    def _show_switch(self, old: str, new: str, asked: float) -> None:
        last = self.users.last[self.revisions[old]] - asked
        self.expect(
            last < 30, f"{old} answered its last request {last:.1f} s after the command, {new} all since"
        )
