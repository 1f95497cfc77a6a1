"""Many tenants' rules and a few processes: nobody waits for somebody else's."""

import asyncio

import pytest
from mooring_operator.adapters.rules import engine as rules_engine
from mooring_operator.adapters.rules.child import Limits, RulesUnavailable
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion

from tests.unit.operator.hostile_rules import ENDLESS

MET = RuleAnswers((None,))


@pytest.fixture
def engine():
    engine = LimitedRules(Limits(seconds=0.3))
    yield engine
    engine.close()


def quick(number):
    return RuleQuestion(("n >= 0.0",), {"n": float(number)})


def slow(number):
    return RuleQuestion((ENDLESS,), {"n": float(number)})


async def answer(engine, namespace, question):
    """Ask until there is an answer, as the reconciler does."""
    while True:
        found = await engine.answer(namespace, [question])
        if question.key in found:
            return found[question.key]


async def test_answers_are_found_out_and_remembered(engine):
    first, second = quick(1), quick(2)
    assert await answer(engine, "a", first) == MET
    assert await answer(engine, "a", second) == MET
    engine.close()
    assert await engine.answer("b", [first, second]) == {first.key: MET, second.key: MET}
    with pytest.raises(RulesUnavailable):
        await answer(engine, "b", quick(3))


async def test_the_question_of_two_is_asked_once(engine):
    found = await asyncio.gather(*(answer(engine, name, slow(1)) for name in "abcd"))
    assert {answers.expensive for answers in found} == {frozenset({0})}
    assert len(engine._answers) == 1


async def test_nobody_waits_for_an_answer_that_takes_long(engine):
    await answer(engine, "a", quick(0))
    loop = asyncio.get_running_loop()
    turns = 0
    asked = slow(1)
    begun = loop.time()
    assert await engine.answer("a", [asked]) == {}
    assert loop.time() - begun < 0.3
    while asked.key not in engine._answers:
        await asyncio.sleep(0.005)
        turns += 1
    # The loop went on while the rule was evaluated.
    assert turns > 10


async def test_a_flood_of_one_namespace_delays_no_other(engine):
    flood = [slow(number) for number in range(20)]
    await engine.answer("flood", flood)
    assert await answer(engine, "quiet", quick(1)) == MET
    # Whatever the machine's speed: not even two of the flood's have been answered.
    assert sum(question.key in engine._answers for question in flood) <= 1
    for number in range(2, 8):
        assert await answer(engine, "quiet", quick(number)) == MET
    assert engine.wait("flood", flood[-1]) >= 10
    assert engine.wait("flood", flood[1]) == engine.wait("quiet", quick(9)) == 1.0


async def test_namespaces_take_turns():
    engine = LimitedRules(Limits(seconds=0.1), children=1)
    await engine.answer("before", [slow(99)])
    owners = {slow(10 * place + number).key: name for place, name in enumerate("abc") for number in range(3)}
    questions = {name: [slow(10 * place + number) for number in range(3)] for place, name in enumerate("abc")}
    await asyncio.gather(*(engine.answer(name, asked) for name, asked in questions.items()))
    await asyncio.gather(*(answer(engine, name, asked[-1]) for name, asked in questions.items()))
    assert [owners[key] for key in engine._answers if key in owners] == list("abcabcabc")
    engine.close()


async def test_a_namespace_has_only_so_many_waiting(engine, monkeypatch):
    monkeypatch.setattr(rules_engine, "_MOST_WAITING", 5)
    await engine.answer("a", [slow(number) for number in range(50)])
    assert len(engine._waiting["a"]) == 5
    assert len(engine._asked) == 6
    # What was pushed out is asked again by whoever still wants to know.
    assert await engine.answer("a", [slow(1)]) == {}


async def test_only_so_many_answers_are_remembered(engine, monkeypatch):
    monkeypatch.setattr(rules_engine, "_MOST_REMEMBERED", 3)
    for number in range(6):
        await answer(engine, "a", quick(number))
        await answer(engine, "a", quick(0))
    assert set(engine._answers) == {quick(0).key, quick(4).key, quick(5).key}


async def test_what_goes_wrong_reaches_whoever_asked(engine, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RulesUnavailable, match="does not start"):
        await answer(engine, "a", quick(1))
    monkeypatch.undo()
    assert await answer(engine, "a", quick(1)) == MET
