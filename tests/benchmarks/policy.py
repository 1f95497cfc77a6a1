"""What the rules of policies cost, with the engine that Mooring has and with others.

    python tests/benchmarks/policy.py [--peers PYTHON] [--cel-go PROGRAM] [--rounds 200] [--json FILE]

PYTHON is of an environment with policy_peers/requirements.txt, PROGRAM is built from policy_peers/cel_go; what is not
named is left out. Each engine is a process that measures itself: a rule at first sight (parsed, checked, evaluated)
and again (evaluated with facts of its own). The last rows ask the operator's own process, as a reconcile does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mooring_operator.adapters.rules.child import Child
from mooring_operator.planning.policies.rules import RuleQuestion

PEERS = Path(__file__).parent / "policy_peers"
RULES = (
    "metrics.accuracy >= 0.95",
    "metrics.latencyP95Ms < 200.0 && metrics.latencyP99Ms < 500.0",
    "model.format in ['onnx', 'safetensors']",
    "model.uri.startsWith('s3://models/') && model.digest.startsWith('sha256:')",
    "has(metrics.f1) ? metrics.f1 > 0.8 : metrics.accuracy > 0.9",
    "deployment.labels.exists(name, name == 'team' && deployment.labels[name] != '')",
    "['accuracy', 'recall', 'precision'].all(name, name in metrics && metrics[name] > 0.5)",
    "model.uri.matches('^s3://[a-z0-9.-]+/[A-Za-z0-9._/-]+$')",
)
FACTS: dict[str, Any] = {
    "metrics": {
        "accuracy": 0.971,
        "precision": 0.96,
        "recall": 0.95,
        "f1": 0.955,
        "latencyP95Ms": 41.5,
        "latencyP99Ms": 77.25,
        "modelSizeMB": 12.5,
        "rows": 10000.0,
    },
    "model": {
        "uri": "s3://models/digits/v2",
        "storageUri": "s3://models/digits/v2",
        "digest": "sha256:" + "ab" * 32,
        "format": "onnx",
    },
    "deployment": {"name": "digits", "namespace": "vision", "labels": {"app": "digits", "team": "vision"}},
    "serving": {"minReplicas": 2.0, "maxReplicas": 6.0, "gpu": {"count": 1.0}},
}


def measure_engine(command: list[str], rounds: int) -> dict[str, float]:
    """Have a process measure itself; `start` is what it took before it had its first answer."""
    question = json.dumps({"rules": RULES, "facts": FACTS, "rounds": rounds})
    starts = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run(
            command, input=json.dumps({"rules": RULES[:1], "facts": FACTS, "rounds": 1}), check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        starts.append(time.perf_counter() - begun)
    answer = subprocess.run(command, input=question, check=True, capture_output=True, text=True).stdout
    found = json.loads(answer)
    assert found["met"] == [True] * len(RULES), found["met"]
    return {
        "startMs": statistics.median(starts) * 1e3,
        "firstUs": statistics.median(found["first"]) * 1e6,
        "againUs": statistics.median(found["again"]) * 1e6,
        "memoryMiB": found["memory"] / 2**20,
    }


def measure_operator(rounds: int) -> dict[str, float]:
    """Ask as the operator does: a policy of one rule and one of all, with a process that is there already."""
    with Child() as child:
        begun = time.perf_counter()
        child.start()
        start = time.perf_counter() - begun
        one = _median(rounds, lambda n: child.ask(RuleQuestion(RULES[:1], {**FACTS, "serving": {"n": n}})))
        all_of = _median(rounds, lambda n: child.ask(RuleQuestion(RULES, {**FACTS, "serving": {"n": n}})))
        memory = Path(f"/proc/{child.start().pid}/statm").read_text().split()[1]
    return {
        "startMs": start * 1e3,
        "policyOfOneRuleUs": one * 1e6,
        f"policyOf{len(RULES)}RulesUs": all_of * 1e6,
        "memoryMiB": int(memory) * os.sysconf("SC_PAGE_SIZE") / 2**20,
    }


def _median(rounds: int, ask: Callable[[float], Any]) -> float:
    took = []
    for number in range(rounds):
        begun = time.perf_counter()
        answers = ask(float(number))
        took.append(time.perf_counter() - begun)
        assert not any(answers.problems), answers
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--cel-go", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    own = [sys.executable, "-I", str(PEERS / "evaluate.py")]
    commands = {"cel-expr-python (cel-cpp)": [*own, "cel-expr-python"]}
    if arguments.peers:
        peers = [str(arguments.peers), "-I", str(PEERS / "evaluate.py")]
        commands["cel-python"] = [*peers, "cel-python"]
        commands["common-expression-language (Rust)"] = [*peers, "common-expression-language"]
    if arguments.cel_go:
        commands["cel-go"] = [str(arguments.cel_go)]
    engines = {name: measure_engine(command, arguments.rounds) for name, command in commands.items()}
    operator = measure_operator(arguments.rounds)
    print("| engine | start (ms) | a rule at first sight (us) | a rule again (us) | memory (MiB) |")
    print("|---|---|---|---|---|")
    for name, found in engines.items():
        print(
            f"| {name} | {found['startMs']:.0f} | {found['firstUs']:.0f} | {found['againUs']:.1f} | "
            f"{found['memoryMiB']:.0f} |"
        )
    print("\nThe operator's process:", {name: round(value, 1) for name, value in operator.items()})
    if arguments.json:
        arguments.json.write_text(json.dumps({"engines": engines, "operator": operator}, indent=2) + "\n")


if __name__ == "__main__":
    main()
