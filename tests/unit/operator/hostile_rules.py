"""Rules that no budget would let live: what tenants can write in the 4,096 characters of an expression."""

DIGITS = "[0,1,2,3,4,5,6,7,8,9]"

FACTS = {
    "metrics": {"accuracy": 0.95, "rows": 200.0},
    "model": {"uri": "s3://m/v1", "storageUri": "s3://m/v1", "digest": "", "format": "onnx"},
    "deployment": {"name": "digits", "namespace": "ns", "labels": {f"label-{n}": "x" for n in range(20)}},
    "serving": {"minReplicas": 2.0},
}


def nested(macro: str, depth: int, inner: str, items: str = DIGITS) -> str:
    """Go through `items` in `depth` loops, each inside the other."""
    for level in range(depth):
        inner = f"{items}.{macro}(x{level}, {inner})"
    return inner


def doubled(value: str, times: int) -> str:
    """Build a value that is twice as large after every step."""
    return f"[{value}]" + ".map(x, x + x)" * times + ".all(x, size(x) > 0)"


SLOW_PATTERN = f"'{'a' * 900}'.matches('(a?){{900}}a{{900}}')"
ENDLESS = nested("all", 3, SLOW_PATTERN)
"""Few enough steps for every counter, and a thousand seconds of work."""

HOSTILE = {
    "8 loops": nested("all", 8, "true"),
    "8 loops that find nothing": nested("exists", 8, "false"),
    "7 loops that build": nested("map", 7, "1") + " != []",
    "7 loops that filter": nested("filter", 7, "true") + " != []",
    "loops over the facts": nested("all", 5, "true", "deployment.labels"),
    "a string doubled": doubled("'aaaaaaaaaaaaaaaa'", 25),
    "a list doubled": doubled("[1]", 26),
    "bytes doubled": doubled("b'aaaaaaaaaaaaaaaa'", 25),
    "a list of lists": DIGITS + "".join(f".map(a{n}, {DIGITS})" for n in range(20)) + " == []",
    "patterns in loops": ENDLESS,
    "a pattern that backtracks": f"'{'a' * 40}b'.matches('^(a+)+$')",
    "a pattern that repeats": "'a'.matches('((a{100}){100}){100}')",
    "a pattern of 3,000 characters": "'x'.matches('" + "(a|b)*" * 500 + "')",
    "brackets": "(" * 2000 + "true" + ")" * 2000,
    "lists in lists": "[" * 2000 + "]" * 2000 + " == []",
    "maps in maps": "{1:" * 1000 + "1" + "}" * 1000 + " == {}",
    "negations": "!" * 4000 + "true",
    "minus signs": "-" * 4000 + "1 < 0",
    "indices": "metrics" + "[0]" * 1300,
    "fields": "metrics" + ".a" * 2000,
    "sums": "+".join("1" * 2000) + " > 0",
    "conditions": "true?" * 400 + "true" + ":true" * 400,
    "and": "&&".join(["true"] * 680),
    "a long text": f"'{'a' * 4000}' == ''",
    "a long number": "9" * 4000 + " > 0",
    "a large number": "1e308 * 1e308 > 0.0",
    "an overflow": "9223372036854775807 + 1 > 0",
    "a division by zero": "1 / 0 == 1",
    "the longest duration": "duration('9999999999999999h') > duration('1s')",
    "a time zone that is a file": "timestamp(0).getHours('../../../../dev/stdin') == 0",
    "a time zone that is a secret": "timestamp(0).getHours('../../../../etc/passwd') == 0",
    "quotes": "'" * 4095,
    "backslashes": "'" + "\\" * 4094 + "'",
    "null characters": "\x00" * 100,
    "halves of characters": "'\ud800' == '\udfff'",
    "right to left": "'\u202e' == '\u2066'",
    "a macro of macros": "has(has(has(metrics.a)))",
    "a message": "google.protobuf.Struct{fields: {'a': google.protobuf.Value{string_value: 'b'}}} == {}",
    "an any": "google.protobuf.Any{type_url: 'x', value: b'y'} == 1",
}

assert all(len(expression) <= 4096 for expression in HOSTILE.values()), "the API server takes no longer ones"
