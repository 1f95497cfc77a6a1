"""ABTest: two revisions side by side, told apart by headers and cookies, until somebody decides."""

from collections import Counter

from cluster.demo.requests import Caller
from cluster.demo.story import Story, ended, waits

_ROLLOUT = {
    "strategy": "ABTest",
    "abTest": {
        "weight": 20,
        "matches": [
            {"header": "x-group", "value": "beta", "to": "New"},
            {"cookie": "plan", "value": "basic", "to": "Stable"},
        ],
        "sticky": "mooring-arm",
    },
}


class ABTest(Story):
    """v2 answers whom a header names and a share of the others, each of whom stays with it."""

    callers = (
        Caller("anybody"),
        Caller("header x-group: beta", {"x-group": "beta"}),
        Caller("cookie plan=basic", {"cookie": "plan=basic"}),
        Caller("somebody who comes back", keeps_cookies=True),
    )
    summary = "v1 and v2 answered side by side, by header, cookie and share, until the decision for v2."

    async def tell(self) -> None:
        """Tell what happens after the first model."""
        await self._side_by_side()
        await self._decide()

    async def _side_by_side(self) -> None:
        self.title(
            "2", "Apply v2 with strategy ABTest: it answers header x-group: beta, and 20% of the others"
        )
        await self.apply("v2", rollout=_ROLLOUT)
        status = await self.follow(waits, wrong=ended)
        self.remember("v2", status["candidate"])
        answers = await self._ask(600)
        new, old = self.revisions["v2"], self.revisions["v1"]
        for caller in self.callers:
            self.say(f"{caller.name}: {self.shares(answers[caller.name])}")
        self.expect(set(answers["header x-group: beta"]) == {new}, "the header is answered by v2 alone")
        self.expect(set(answers["cookie plan=basic"]) == {old}, "the cookie is answered by v1 alone")
        self.expect(set(answers["anybody"]) == {old, new}, "anybody is answered by both")
        self.expect(
            len(answers["somebody who comes back"]) == 1,
            "who comes back is answered by the same one each time",
        )
        self.none_lost()

    async def _ask(self, count: int) -> dict[str, Counter[str]]:
        before = {name: counts.copy() for name, counts in self.users.answers.items()}
        await self.requests(count)
        return {name: counts - before[name] for name, counts in self.users.answers.items()}

    async def _decide(self) -> None:
        self.title("3", "Somebody decides for v2: everybody gets it, header or not")
        await self.command("approve")
        await self.follow(
            lambda s: s.get("phase") == "Promoted" and self.serves_other_than(s, "v1"), wrong=ended
        )
        self.expect_all_by("v2", await self.requests(200), "every kind of user is answered by v2 alone")
        self.none_lost()
