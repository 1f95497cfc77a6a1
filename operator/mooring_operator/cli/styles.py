"""Colours by meaning: green is good, yellow is under way, magenta waits for a person, red is bad."""

_PHASES = {
    "Promoted": "green",
    "Watching": "green",
    "Testing": "yellow",
    "Deploying": "yellow",
    "Canary": "yellow",
    "Promoting": "yellow",
    "Pending": "yellow",
    "AwaitingApproval": "magenta",
    "Paused": "magenta",
    "Suspended": "magenta",
    "Waiting": "magenta",
    "RolledBack": "red",
    "Failed": "red",
    "Drifted": "red",
}


def phase_style(phase: str) -> str:
    """Give the style of a phase."""
    return _PHASES.get(phase, "default")
