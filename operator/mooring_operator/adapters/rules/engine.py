"""The port to the rules that tenants write, and their evaluation in a few limited processes, namespaces by turns."""

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from mooring_operator.adapters.rules.child import Child, Limits
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion

_MOST_REMEMBERED = 1024
_MOST_WAITING = 256
_SHORTEST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0


class Rules(Protocol):
    """Evaluates the rules of policies."""

    async def answer(self, namespace: str, questions: Sequence[RuleQuestion]) -> dict[str, RuleAnswers]:
        """Give the answers that are there within a moment, by the key of their question.

        The others are found out meanwhile: ask again.

        Raises:
            RulesUnavailable: rules cannot be evaluated now.
        """
        ...

    def wait(self, namespace: str, question: RuleQuestion) -> float:
        """Give the seconds after which it makes sense to ask again."""
        ...


class LimitedRules:
    """Evaluates in `children` processes, started when they are first needed, and remembers the answers.

    Nobody waits here for longer than `patience` seconds. One namespace keeps at most half of the processes busy,
    so that the next one finds one free.
    """

    def __init__(self, limits: Limits | None = None, *, children: int = 2, patience: float = 0.05) -> None:
        self._children = [Child(limits) for _ in range(children)]
        self._idle = list(self._children)
        self._share = max(1, children // 2)
        self._patience = patience
        self._answers: OrderedDict[str, RuleAnswers] = OrderedDict()
        self._asked: dict[str, asyncio.Future[RuleAnswers]] = {}
        self._waiting: OrderedDict[str, OrderedDict[str, RuleQuestion]] = OrderedDict()
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, namespace: str, questions: Sequence[RuleQuestion]) -> dict[str, RuleAnswers]:
        """Give the answers that are there within `patience`; see `Rules.answer`."""
        known = {question.key: self._recall(question.key) for question in questions}
        asked = {
            question.key: self._ask(namespace, question)
            for question in questions
            if known[question.key] is None
        }
        if asked:
            await asyncio.wait(asked.values(), timeout=self._patience)
        found = {key: future.result() for key, future in asked.items() if _is_answered(future)}
        return {key: answers for key, answers in known.items() if answers is not None} | found

    def wait(self, namespace: str, question: RuleQuestion) -> float:
        """Give the seconds after which it makes sense to ask again: more, the more are before this one."""
        waiting = list(self._waiting.get(namespace, ()))
        ahead = waiting.index(question.key) if question.key in waiting else 0
        return min(max(_SHORTEST_WAIT_S, ahead / self._share), _LONGEST_WAIT_S)

    def close(self) -> None:
        """End the processes; from now on only what is remembered has an answer."""
        for child in self._children:
            child.close()

    def _ask(self, namespace: str, question: RuleQuestion) -> asyncio.Future[RuleAnswers]:
        if question.key in self._asked:
            return self._asked[question.key]
        future: asyncio.Future[RuleAnswers] = asyncio.get_running_loop().create_future()
        # Whoever asked may have gone when the answer, or the reason why there is none, comes.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._asked[question.key] = future
        waiting = self._waiting.setdefault(namespace, OrderedDict())
        waiting[question.key] = question
        if len(waiting) > _MOST_WAITING:
            # Whoever still wants to know asks again.
            forgotten, _ = waiting.popitem(last=False)
            self._asked.pop(forgotten).cancel()
        self._begin()
        return future

    def _recall(self, key: str) -> RuleAnswers | None:
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def _begin(self) -> None:
        """Give every idle process a question, one namespace after the other."""
        while self._idle and (namespace := self._next()) is not None:
            waiting = self._waiting[namespace]
            _, question = waiting.popitem(last=False)
            self._waiting.move_to_end(namespace)
            if not waiting:
                del self._waiting[namespace]
            self._busy[namespace] += 1
            task = asyncio.create_task(self._evaluate(namespace, self._idle.pop(), question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> str | None:
        return next((name for name in self._waiting if self._busy[name] < self._share), None)

    async def _evaluate(self, namespace: str, child: Child, question: RuleQuestion) -> None:
        asked = self._asked[question.key]
        try:
            answers = await _in_thread(child, question)
        except asyncio.CancelledError:
            child.close()
            raise
        except Exception as error:
            # For whoever waits for the answer, whatever it is.
            asked.set_exception(error)
        else:
            self._remember(question.key, answers)
            asked.set_result(answers)
        del self._asked[question.key]
        self._idle.append(child)
        self._busy[namespace] -= 1
        self._busy += Counter()
        self._begin()

    def _remember(self, key: str, answers: RuleAnswers) -> None:
        self._answers[key] = answers
        if len(self._answers) > _MOST_REMEMBERED:
            self._answers.popitem(last=False)


def _is_answered(future: asyncio.Future[RuleAnswers]) -> bool:
    return future.done() and not future.cancelled()


async def _in_thread(child: Child, question: RuleQuestion) -> RuleAnswers:
    """Ask in a thread of its own, a daemon: it does not keep the operator from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[RuleAnswers] = loop.create_future()

    def finish(answers: RuleAnswers | None, error: Exception | None) -> None:
        if answer.cancelled():
            return
        if answers is not None:
            answer.set_result(answers)
        else:
            answer.set_exception(error or RuntimeError("no answer"))

    def work() -> None:
        answers, problem = None, None
        try:
            answers = child.ask(question)
            # Whoever used up the budget waits for the next process, not whoever comes next.
            child.start()
        except Exception as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, answers, problem)

    threading.Thread(target=work, name="rules", daemon=True).start()
    return await answer
