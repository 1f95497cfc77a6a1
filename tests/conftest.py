"""Says at the end how many tests ran at each level, and what was skipped and why."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

pytest_plugins = ["cluster.pytest_plugin"]

# As in the image of the components: threads of two processes that share cores wait for each other most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes is the machine's business, and no test is about it.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# A commit is judged by the same examples each time; whoever looks for new ones does so at random: `make search`.
settings.register_profile("same", derandomize=True, print_blob=True, **_UNTIMED)
settings.register_profile("search", derandomize=False, print_blob=True, **_UNTIMED)
settings.load_profile("same")
# Numbers and words of all modules that happen to be loaded would be tried too: others in each order of tests.
providers._get_local_constants = lambda: providers._local_constants

_LEVELS = {
    "unit": "pure",
    "operator": "the operator against an API emulator, pipelines against a real server",
    "cluster": "a real etcd and kube-apiserver",
    "release": "what is documented and released, as people get it",
    "e2e": "a real node",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count by the folder that a test lies in."""
    counts: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            level = _level(report.nodeid)
            counts[level, outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[f"{level}: {report.longrepr[2].removeprefix('Skipped: ')}"] += 1
    terminalreporter.section("tests by level")
    for level, what in _LEVELS.items():
        passed, failed, skipped = (counts[level, outcome] for outcome in ("passed", "failed", "skipped"))
        if passed or failed or skipped:
            terminalreporter.line(f"{level:9}{passed:5} passed{failed:4} failed{skipped:4} skipped   {what}")
    for reason, count in reasons.items():
        terminalreporter.line(f"skipped {count}: {reason}")


def _level(nodeid: str) -> str:
    parts = nodeid.split("/")
    return parts[1] if len(parts) > 2 else parts[0]


@pytest.fixture(autouse=True)
def no_given_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel runs set COLUMNS for their workers; what a user sees must not depend on it here."""
    monkeypatch.delenv("COLUMNS", raising=False)
