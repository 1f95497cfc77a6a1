"""One engine, measuring itself: JSON of rules, facts and rounds on stdin, JSON of seconds on stdout.

It runs in environments that hold no Mooring.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Compile = Callable[[str], Callable[[dict[str, Any]], Any]]


def cel_expr_python(names: list[str]) -> Compile:
    from cel_expr_python import cel

    environment = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))

    def compile_rule(text: str) -> Callable[[dict[str, Any]], Any]:
        program = environment.compile(text)
        return lambda facts: program.eval(data=facts).plain_value()

    return compile_rule


def cel_python(names: list[str]) -> Compile:
    import celpy
    import celpy.adapter

    def compile_rule(text: str) -> Callable[[dict[str, Any]], Any]:
        environment = celpy.Environment()
        program = environment.program(environment.compile(text))
        return lambda facts: bool(
            program.evaluate({name: celpy.adapter.json_to_cel(value) for name, value in facts.items()})
        )

    return compile_rule


def common_expression_language(names: list[str]) -> Compile:
    import cel

    def compile_rule(text: str) -> Callable[[dict[str, Any]], Any]:
        return cel.compile(text).execute

    return compile_rule


ENGINES = {
    "cel-expr-python": cel_expr_python,
    "cel-python": cel_python,
    "common-expression-language": common_expression_language,
}


def main() -> None:
    question = json.load(sys.stdin)
    facts, rules = question["facts"], question["rules"]
    compile_rule = ENGINES[sys.argv[1]](list(facts))
    first, again, met = [], [], []
    for _ in range(question["rounds"]):
        for rule in rules:
            begun = time.perf_counter()
            program = compile_rule(rule)
            program(facts)
            first.append(time.perf_counter() - begun)
    for rule in rules:
        program = compile_rule(rule)
        met.append(program(facts))
        for number in range(question["rounds"]):
            other = {**facts, "serving": {"n": float(number)}}
            begun = time.perf_counter()
            program(other)
            again.append(time.perf_counter() - begun)
    with open("/proc/self/status") as status:
        memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    json.dump({"first": first, "again": again, "met": met, "memory": memory}, sys.stdout)


if __name__ == "__main__":
    main()
