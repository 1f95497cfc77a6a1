"""The process that evaluates rules: what counts as true, and that no rule gets out of its limits."""

import os
import resource
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.adapters.rules.child import Child, Limits, RulesUnavailable
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion

from tests.unit.operator.hostile_rules import DIGITS, ENDLESS, FACTS, HOSTILE, doubled

LIMITS = Limits(seconds=0.3)


@pytest.fixture(scope="module")
def child():
    with Child(LIMITS) as child:
        yield child


def ask(child, *expressions, facts=FACTS):
    return child.ask(RuleQuestion(expressions, facts))


def pid_of(child):
    return child.start().pid


def used_seconds(child):
    """The CPU time of all processes that the child has been."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    now = Path(f"/proc/{pid_of(child)}/stat").read_text().rpartition(")")[2].split()
    return ended.ru_utime + ended.ru_stime + (int(now[11]) + int(now[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("metrics.accuracy >= 0.9", None),
        ("metrics.rows == 200.0 && metrics.rows == 200 && model.format == 'onnx'", None),
        ("serving.minReplicas / 4.0 == 0.5", None),
        ("deployment.labels.all(name, name.startsWith('label-'))", None),
        ("has(metrics.f1) && metrics.f1 > 0.5", "has(metrics.f1) && metrics.f1 > 0.5 is not true"),
        ("metrics.accuracy > 0.99", "metrics.accuracy > 0.99 is not true"),
        ("metrics.f1 > 0.5", 'metrics.f1 > 0.5 cannot be evaluated: Key not found in map : "f1"'),
        ("metrics.accuracy", "metrics.accuracy is no condition: it gives 0.95, not true or false"),
        ("metrics.accuracy >", "the expression cannot be read: line 1, column 19: Syntax error: mismatched "),
        (
            "metric.f1 > 1.0",
            "the expression cannot be read: line 1, column 7: undeclared reference to 'metric.f1'",
        ),
        ("metrics\n.f1\n>", "the expression cannot be read: line 3, column 2: Syntax error"),
    ],
)
def test_a_rule_is_met_only_by_true(child, expression, problem):
    (found,) = ask(child, expression).problems
    assert found == problem or (found is not None and problem is not None and found.startswith(problem))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("metrics.whatever > 1.0", None),
        ("metrics.flag", None),
        ("metrics.a >", "cannot be read"),
        ("metrics.a > 1.0 || secrets.b", "undeclared reference to 'secrets.b'"),
        ("1 + 1", "it is no condition: it gives int, not true or false"),
        ("'true'", "it gives string, not true or false"),
        ("(" * 100 + "true" + ")" * 100, "recursion limit"),
    ],
)
def test_without_facts_it_says_whether_expressions_can_be_read(child, expression, problem):
    (found,) = child.ask(RuleQuestion((expression,))).problems
    assert (found is None) == (problem is None)
    assert problem is None or problem in found


@pytest.mark.parametrize("name", HOSTILE)
def test_no_rule_gets_out_of_its_limits(child, name):
    before = used_seconds(child)
    answers = ask(child, "true", HOSTILE[name], "true")
    assert answers.problems[0] is None
    assert len(answers.problems) == 3
    assert len(child.ask(RuleQuestion((HOSTILE[name],))).problems) == 1
    # Nothing is left of it.
    assert ask(child, "1 + 1 == 2") == RuleAnswers((None,))
    assert used_seconds(child) - before < 2.0


def test_what_takes_too_long_is_not_met_nor_what_comes_behind(child):
    answers = ask(child, "metrics.rows == 200.0", ENDLESS, "true")
    assert answers == RuleAnswers(
        (None, "it takes more than 0.3 s of CPU time", "not evaluated: a rule before it used up the budget"),
        frozenset({1, 2}),
    )


def test_what_takes_too_much_memory_is_not_met():
    with Child(Limits(memory=64 << 20)) as child:
        answers = ask(child, "true", doubled("'aaaaaaaaaaaaaaaa'", 25))
        assert answers == RuleAnswers((None, "it needs more than 64 MiB"), frozenset({1}))


def test_what_goes_round_too_often_is_not_met_and_the_next_rule_is_evaluated(child):
    answers = ask(child, HOSTILE["8 loops"], "true")
    assert answers.problems[0].endswith("cannot be evaluated: Iteration budget exceeded")
    assert (answers.problems[1], answers.expensive) == (None, frozenset({0}))


def test_all_rules_of_a_question_share_one_budget(child):
    heavy = f"{DIGITS}.all(a, {DIGITS}.all(b, '{'a' * 300}'.matches('(a?){{300}}a{{300}}')))"
    assert len(ask(child, *[heavy] * 64).expensive) > 32


def test_a_process_serves_many_questions_and_is_replaced_after_a_killing():
    with Child(LIMITS) as child:
        first = pid_of(child)
        for number in range(50):
            facts = {"metrics": {"n": number}, "n": number}
            assert ask(child, "metrics.n == n", facts=facts) == RuleAnswers((None,))
        assert pid_of(child) == first
        ask(child, ENDLESS)
        assert pid_of(child) != first
        assert not Path(f"/proc/{first}").exists()


def test_a_process_that_holds_half_of_its_memory_is_replaced():
    with Child(Limits(memory=48 << 20)) as child:
        first = pid_of(child)
        assert ask(child, "true") == RuleAnswers((None,))
        assert pid_of(child) != first


def test_nothing_is_left_of_the_last_question(child):
    ask(child, "secret == 'x'", facts={"secret": "x"})
    (problem,) = ask(child, "secret == 'x'", facts={"other": "x"}).problems
    assert "undeclared reference to 'secret'" in problem


def test_the_process_is_limited_by_the_kernel_and_has_no_environment(child, monkeypatch):
    monkeypatch.setenv("MOORING_SECRET", "not for tenants")
    proc = Path(f"/proc/{pid_of(child)}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
    assert limits["Max address space"] == [str(LIMITS.memory)] * 2
    assert limits["Max open files"] == ["3"] * 2
    assert limits["Max processes"] == limits["Max file size"] == limits["Max core file size"] == ["0"] * 2
    assert (proc / "environ").read_bytes() == b""
    assert {os.readlink(entry).partition(":")[0] for entry in (proc / "fd").iterdir()} == {
        "pipe",
        "/dev/null",
        f"{proc}/statm",
    }
    assert os.getpriority(os.PRIO_PROCESS, int(proc.name)) >= 10
    assert (proc / "oom_score_adj").read_text().strip() == "1000"


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(signal.SIGKILL, None), (signal.SIGSEGV, "it crashes the evaluation (signal 11)")],
)
def test_a_process_that_is_ended_from_outside_says_nothing_against_the_rules(number, outcome):
    with Child(Limits(seconds=30)) as child:
        pid = pid_of(child)
        threading.Timer(0.2, os.kill, (pid, number)).start()
        if outcome is None:
            with pytest.raises(RulesUnavailable, match="the process ended with exit code -9"):
                ask(child, ENDLESS)
        else:
            assert ask(child, ENDLESS).problems == (outcome,)
        assert ask(child, "true") == RuleAnswers((None,))


def test_a_process_that_does_not_answer_is_given_up():
    with Child(Limits(deadline=0.5)) as child:
        os.kill(pid_of(child), signal.SIGSTOP)
        with pytest.raises(RulesUnavailable, match=r"no answer within 0\.5 s"):
            ask(child, "true")
        assert ask(child, "true") == RuleAnswers((None,))


@pytest.mark.parametrize(
    ("program", "why"),
    [("/bin/false", "the process does not start"), ("/no/such/python", "no process can be started")],
)
def test_a_process_that_cannot_start_says_so(monkeypatch, program, why):
    monkeypatch.setattr("sys.executable", program)
    with pytest.raises(RulesUnavailable, match=why):
        Child(LIMITS).ask(RuleQuestion(("true",)))


def test_a_closed_child_starts_nothing():
    child = Child(LIMITS)
    child.close()
    with pytest.raises(RulesUnavailable, match="stopping"):
        ask(child, "true")


WORDS = """
metrics model deployment serving labels accuracy x y . [ ] ( ) { } , : ? ! && || == != < > + - * / % in has( all( map(
exists( filter( 1 2.5 1u 'a' "b" b'c' true false null .matches( size( string( int( timestamp( duration( type( dyn( `
"""
TOKENS = st.sampled_from([*WORDS.split(), "\\", "//", "#", "@", "\n"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(TOKENS, max_size=40).map(" ".join)))
def test_any_text_gets_an_answer_within_its_limits(child, text):
    answers = ask(child, text, "true")
    assert len(answers.problems) == 2
    assert answers.problems[0] is None or "\n" not in answers.problems[0].removeprefix(text)
    (problem,) = child.ask(RuleQuestion((text,))).problems
    if problem is not None and "cannot be read" in problem:
        assert answers.problems[0] is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["metrics", "model", "deployment", "serving"]), JSON))
def test_any_facts_get_an_answer(child, facts):
    assert len(ask(child, "metrics.accuracy > 0.5", "string(metrics) != ''", facts=facts).problems) == 2
