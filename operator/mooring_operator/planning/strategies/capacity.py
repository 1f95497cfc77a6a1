"""Capacity before traffic: a revision gets as much of the traffic as its ready pods carry, and no more.

The whole is what the stable revision has had at most since the rollout began: its autoscaler may add pods under way,
and must take none away, for traffic may have to go back.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """What is seen of a rollout's two sides.

    whole: pods that carry all traffic.
    pods, stable_pods: those of the candidate and of the stable revision that are ready.
    least: pods that the candidate should have whatever its percent.
    settled: percent of the traffic that the candidate has had for long enough to go without stable's pods for it.
    """

    whole: int
    pods: int
    stable_pods: int
    settled: int = 0
    least: int = 1


@dataclass(frozen=True)
class Share:
    """The candidate's percent of the traffic now, and how many pods each side should have at least."""

    weight: int
    pods: int
    stable_pods: int


def needed(weight: int, whole: int) -> int:
    """Give how many pods carry `weight` percent of what `whole` pods carry: at least one."""
    return max(1, _up(weight * whole, 100))


def carried(pods: int, whole: int) -> int:
    """Give the percent of the traffic that `pods` carry, where `whole` pods carry all of it."""
    return min(100, 100 * pods // max(whole, 1))


def part(pods: int, others: int) -> int:
    """Give the percent of the traffic that `pods` have when all pods have as much."""
    return _up(100 * pods, max(pods + others, 1))


def share(asked: int, seen: Seen, *, surge: int | None = None) -> Share:
    """Give the candidate as much of the `asked` percent as it carries, and ask for the pods that are missing.

    With a `surge`, there are at most so many pods more than the whole: the candidate grows as the stable revision
    leaves pods that it no longer needs.
    """
    pods = max(needed(asked, seen.whole), seen.least)
    weight = min(asked, carried(seen.pods, seen.whole))
    if asked == 100 and seen.stable_pods == 0 and seen.pods:
        # What serves is dead: every pod is better than none.
        weight = 100
    if surge is None:
        return Share(weight, pods, seen.whole)
    stable = seen.whole - _relieved(seen.settled, seen.whole)
    return Share(
        weight, min(pods, seen.whole + surge - max(stable, min(seen.stable_pods, seen.whole))), stable
    )


def share_by_pods(asked: int, seen: Seen) -> Share:
    """Give what `share` does, where a revision's part of the traffic is that of its pods.

    The stable revision leaves pods only when the candidate has its own, and gets none meanwhile that it can do
    without: they would take traffic back.
    """
    pods = needed(asked, seen.whole)
    meanwhile = min(seen.whole, max(seen.stable_pods, seen.whole - seen.pods))
    if asked in (0, 100):
        weight = min(asked, carried(seen.pods, seen.whole))
        return Share(weight, max(pods, seen.least), seen.whole if weight == asked else meanwhile)
    stable = beside(asked, pods)
    exposed = seen.pods > 0 and 100 * seen.pods <= asked * (seen.pods + seen.stable_pods)
    return Share(asked if exposed else 0, pods, stable if seen.pods >= pods else max(stable, meanwhile))


def share_in_place(seen: Seen) -> Share:
    """Give what `share` does, where there is room for one of the two alone: the stable revision stops first."""
    if seen.stable_pods and not seen.pods:
        return Share(0, 0, 0)
    return Share(carried(seen.pods, seen.whole), seen.whole, 0)


def count(share: str, whole: int) -> int:
    """Give the pods that a number, or a percentage of the `whole`, stands for; at least one."""
    if share.endswith("%"):
        return needed(int(share[:-1]), whole)
    return int(share or 1)


def beside(weight: int, pods: int) -> int:
    """Give how many pods of the other side make `weight` percent, or a little less, of what `pods` get."""
    return _up(pods * (100 - weight), weight)


def why_out_of_reach(asked: int, whole: int) -> str:
    """Say why a share by pods cannot be had; nothing where it can."""
    if asked in (0, 100) or beside(asked, needed(asked, whole)) <= whole:
        return ""
    least = _up(100, whole + 1)
    return (
        f"{asked}% is less than one pod beside the {whole} of the stable revision gets: where the share follows from "
        f"the pods, let setWeight be {least} or more, or the stable revision have {beside(asked, 1)} pods"
    )


def _relieved(settled: int, whole: int) -> int:
    """Give how many pods `settled` percent stand for: percents are whole numbers, and one pod of three carries 33."""
    return min(whole, ((settled + 1) * whole - 1) // 100)


def _up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
