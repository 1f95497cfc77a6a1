"""Shadow: copies of the users' requests before anybody gets an answer of the new revision."""

from cluster.demo.story import Status, Story, ended, waits

_ROLLOUT = {
    "strategy": "Shadow",
    "shadow": {"percent": 100},
    "steps": [{"setWeight": 50}, {"pause": {"duration": "5s"}}, {"setWeight": 100}],
}


class Shadow(Story):
    """v2 answers copies, which are counted where it runs; then it takes over by steps."""

    summary = "v2 answered copies of the users' requests, which nobody noticed, then took over by steps."

    async def tell(self) -> None:
        """Tell what happens after the first model."""
        await self._copies()
        await self._steps()

    async def _copies(self) -> None:
        self.title(
            "2", "Apply v2 with strategy Shadow: it gets a copy of every request, and nobody its answers"
        )
        before = self.users.mark()
        await self.apply("v2", rollout=_ROLLOUT)
        status = await self.follow(_is_mirrored, wrong=ended)
        self.remember("v2", status["candidate"])
        received = await self.scene.observer.received(self.revisions["v2"])
        answered = await self.requests(200)
        copies = await self.scene.observer.received(self.revisions["v2"]) - received
        self.expect(
            copies >= 150,
            f"v2 has received {copies} copies, counted by its own server, while 200 users asked",
        )
        self.expect_all_by("v1", self.since(before), "users are answered by v1 alone")
        self.expect(not answered[self.revisions["v2"]], "no user has got an answer of v2")
        self.none_lost()

    async def _steps(self) -> None:
        self.title("3", "Somebody approves what v2 answered: the copies end, and it takes over by steps")
        before = self.users.mark()
        await self.command("approve")
        await self.follow(
            lambda s: s.get("phase") == "Promoted" and self.serves_other_than(s, "v1"), wrong=ended
        )
        self.show_traffic(self.since(before))
        self.expect_all_by("v2", await self.requests(100), "users are answered by v2 alone")
        self.none_lost()


def _is_mirrored(status: Status) -> bool:
    candidate = status.get("candidate") or {}
    return bool(candidate.get("mirror")) and waits(status)
