"""A canary that nothing is wrong with but what it answers, as labels tell that come late."""

import asyncio
import shutil

from cluster.demo.labels import LATE_S, LateLabels
from cluster.demo.manifests import BY_LABELS, NAME, NAMESPACE, accuracy_template
from cluster.demo.story import Story, ask_mooring

_RATE = "wrong-answers: candidate "


class WrongAnswers(Story):
    """v6 starts, passes its tests and answers in time; that it answers wrongly is known some seconds later."""

    summary = "v6 passed its tests, answered wrongly, and was rolled back by labels that came later."

    async def tell(self) -> None:
        """Tell what happens after the first model."""
        with LateLabels(self.scene.digits.live_labels, self.scene.targets) as labels:
            self.users.on_answer = labels.answered
            await self._labels_come(labels)
            await self._model_that_answers_wrongly()
        await self._number_that_decided()

    async def _labels_come(self, labels: LateLabels) -> None:
        self.title("2", f"Users find out {LATE_S:.0f} s later whether an answer was right: a page counts it")
        await self.scene.observer.apply(accuracy_template())
        await self.until(lambda: labels.known.total() > 50)
        self.say(f"v1: {labels.told(self.revisions['v1'])}")

    async def _model_that_answers_wrongly(self) -> None:
        self.title(
            "3",
            "Apply v6: an export has exchanged labels, those of its tests too: it passes them, and answers wrongly",
        )
        before = self.users.mark()
        await self.apply("v6", test_data="exchanged", rollout=BY_LABELS)
        status = await self.follow(
            lambda s: s.get("phase") == "RolledBack", wrong=lambda s: s.get("phase") in ("Failed", "Promoted")
        )
        self.show_metrics(status)
        self.expect(status["reason"] == "AnalysisFailed", "what it answered has decided, and not its tests")
        self.expect(_RATE in status["message"], "it was the share of wrong answers")
        self.expect(status["stable"]["revision"] == self.revisions["v1"], "v1 is still the stable revision")
        self.show_traffic(self.since(before))
        self.none_lost()

    async def _number_that_decided(self) -> None:
        self.title("4", "What tells of it, to whoever comes later")
        self.say(f"[bold]$ mooring status {NAME} -n {NAMESPACE}[/bold]")
        _, told = await ask_mooring(self.scene.kubeconfig, "status")
        self.quote(told)
        self.expect(_RATE in told, "mooring status tells the number that decided")
        if shutil.which("kubectl") is None:
            return
        command = ["kubectl", "-n", NAMESPACE, "describe", "mdep", NAME]
        self.say(f"[bold]$ {' '.join(command)}[/bold]")
        described = await self._described(command)
        found = [line.strip() for line in described.splitlines() if _RATE in line]
        self.expect(bool(found), f"kubectl describe tells it {len(found)} times; the last of them:")
        self.quote(found[-1])

    async def _described(self, command: list[str]) -> str:
        process = await asyncio.create_subprocess_exec(
            command[0], "--kubeconfig", str(self.scene.kubeconfig), *command[1:],
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        return output.decode()
