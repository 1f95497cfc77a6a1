"""Whatever carries out the checks of steps: one file for each way behind `Checker`."""

from mooring_operator.adapters.checks.port import Checker, CheckNotStarted

__all__ = ["CheckNotStarted", "Checker"]
