"""``python -m release.figures [--check]``: draw docs/figures/strategies/*.svg, what each strategy does over time.

The operator's own planner decides what is drawn, as in ``mooring rehearse``. A column is a time at which something
changes; columns are of one width, however long they last.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from mooring_operator.adapters.rules.child import Child
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.rehearsal import Rehearsal, after_a_promotion
from mooring_operator.cli.rehearsal_world import START, Script

FOLDER = Path("docs/figures/strategies")
_PODS = 4
_SCALE_DOWN = timedelta(minutes=5)

_ROLLOUTS: dict[str, Mapping[str, Any]] = {
    "canary": {
        "steps": [
            {"setWeight": 25},
            {"pause": {"duration": "10m"}},
            {"setWeight": 50},
            {"approve": {}},
            {"setWeight": 100},
        ]
    },
    "bluegreen": {"strategy": "BlueGreen"},
    "shadow": {
        "strategy": "Shadow",
        "shadow": {"percent": 100, "duration": "10m"},
        "steps": [{"setWeight": 50}, {"pause": {"duration": "10m"}}, {"setWeight": 100}],
    },
    "abtest": {
        "strategy": "ABTest",
        "abTest": {"weight": 20, "matches": [{"header": "x-group", "value": "beta"}]},
    },
    "recreate": {"strategy": "Recreate"},
}


@dataclass(frozen=True)
class Column:
    """What holds from a time on: percent of the traffic, ready pods, and what else the new revision gets."""

    at: timedelta
    stable: int
    new: int
    stable_pods: int
    new_pods: int
    extra: str

    @property
    def shown(self) -> tuple[object, ...]:
        """All but the time."""
        return (self.stable, self.new, self.stable_pods, self.new_pods, self.extra)


def columns(strategy: str) -> list[Column]:
    """Rehearse a strategy, and what it leaves behind until the old pods are gone."""
    rollout = {"router": "Gateway", "scaleDownDelay": "5m", **_ROLLOUTS[strategy]}
    spec = ModelDeploymentSpec.model_validate(
        {
            "model": {"uri": "s3://models/digits/v2", "format": "onnx"},
            "serving": {"minReplicas": _PODS, "maxReplicas": _PODS},
            "rollout": rollout,
        }
    )
    with Child() as rules:
        rehearsal = after_a_promotion(spec, Script(), "digits", rules)
        found = [Column(timedelta(seconds=-1), 100, 0, _PODS, 0, "")]
        found += [_column(rehearsal) for _ in chain(rehearsal.run(), rehearsal.later(_SCALE_DOWN))]
        found.append(_column(rehearsal))
    return list(_changes(found))


def _column(rehearsal: Rehearsal) -> Column:
    at, routing = rehearsal.now, rehearsal.world.routing
    shares = rehearsal.world.shares(at)
    stable, new = shares["stable"], shares["new"]
    # What has no pods gets nothing, and is in no route.
    extra = ""
    if routing is not None and new.pods:
        if routing.preview:
            extra = "preview address"
        elif routing.mirror is not None:
            extra = f"copies of {routing.mirror.percent}%"
        elif routing.rules:
            extra = f"{routing.rules[0].header}: {routing.rules[0].value}"
    weight = stable.weight if stable.pods else 0
    return Column(at - START, weight, new.weight, stable.pods, new.pods, extra)


def _changes(found: Iterable[Column]) -> Iterator[Column]:
    """Of columns for one time yield the last, of equal ones that follow each other the first."""
    last = {column.at: column for column in found}
    before: tuple[object, ...] = ()
    for column in last.values():
        if column.shown != before:
            yield column
        before = column.shown


_LEFT, _WIDE, _HEIGHT = 96, 132, 184
_BAND_TOP, _BAND = 28, 80
_NOTE_TOP, _POD_TOP, _POD_ROW, _POD = 114, 138, 20, 12
_STABLE, _NEW, _INK, _PALE = "#8b98a9", "#1f6feb", "#24292f", "#eaeef2"


def picture(title: str, shown: list[Column]) -> str:
    """Give the picture of a rollout, as SVG: traffic as a band, below it what else is told, and pods as squares."""
    width = _LEFT + _WIDE * len(shown) + 8
    body = [
        f'<rect width="{width}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(8, _BAND_TOP + _BAND / 2 + 4, "traffic"),
        _text(8, _POD_TOP + 11, "pods, stable"),
        _text(8, _POD_TOP + _POD_ROW + 11, "pods, new"),
    ]
    for index, column in enumerate(shown):
        body += _draw(_LEFT + _WIDE * index, column, is_first=index == 0)
    lines = "\n".join(f"  {line}" for line in body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" '
        f'height="{_HEIGHT}" font-family="sans-serif" font-size="12" role="img">\n'
        f"  <title>{title}</title>\n{lines}\n</svg>\n"
    )


def _draw(left: int, column: Column, *, is_first: bool) -> Iterator[str]:
    minutes, seconds = divmod(int(column.at.total_seconds()), 60)
    yield _text(left, _BAND_TOP - 8, f"{minutes}:{seconds:02d}" if minutes >= 0 else "before")
    top = _BAND_TOP
    for share, color, who in ((column.new, _NEW, "new"), (column.stable, _STABLE, "stable")):
        high = _BAND * share // 100
        if share:
            yield _box(left, top, _WIDE, high, color)
            yield _text(left + 8, top + high / 2 + 4, f"{who} {share}%", "#ffffff")
        top += high
    if top == _BAND_TOP:
        yield _box(left, top, _WIDE, _BAND, _PALE)
        yield _text(left + 8, top + _BAND / 2 + 4, "nothing answers")
    yield f'<path d="M{left} {_BAND_TOP - 4}V{_POD_TOP + 2 * _POD_ROW}" stroke="#ffffff" stroke-width="2"/>'
    if column.extra:
        yield _box(left + 1, _NOTE_TOP - 2, _WIDE - 2, 17, "none", f' stroke="{_NEW}" stroke-dasharray="3 2"')
        yield _text(left + 8, _NOTE_TOP + 11, column.extra, _NEW)
    for row, (pods, color) in enumerate(((column.stable_pods, _STABLE), (column.new_pods, _NEW))):
        above = _POD_TOP + _POD_ROW * row
        for pod in range(pods):
            yield _box(left + 2 + (_POD + 4) * pod, above, _POD, _POD, color)
        if not pods and row == 0 and not is_first:
            yield _text(left + 2, above + 11, "kept, without pods")


def _box(left: float, top: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{fill}"{more}/>'


def _text(left: float, base: float, text: str, fill: str = _INK) -> str:
    return f'<text x="{left:g}" y="{base:g}" fill="{fill}">{text}</text>'


def main() -> int:
    """Run the command; exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m release.figures", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    check, stale = parser.parse_args().check, False
    for strategy, rollout in _ROLLOUTS.items():
        path = FOLDER / f"{strategy}.svg"
        wanted = picture(str(rollout.get("strategy", "Canary")), columns(strategy))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
        elif not path.exists() or path.read_text() != wanted:
            print(f"{path}: differs from what the planner does; run `make generate`")
            stale = True
    return int(stale)


if __name__ == "__main__":
    raise SystemExit(main())
