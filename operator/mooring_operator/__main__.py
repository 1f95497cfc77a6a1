"""``mooring-operator`` and ``python -m mooring_operator``."""

import sys

from mooring_artifacts.roles import packages_of


def main() -> None:
    """Run the operator, or say which packages it lacks."""
    # kopf would import Kubernetes' client where that lies beside it, as KFP's SDK has it: seconds, and 60 MB.
    sys.modules["kubernetes"] = None  # type: ignore[assignment]  # Python's way to say that there is none
    with packages_of("operator", "mooring-operator"):
        from mooring_operator.main import main as run
    run()


if __name__ == "__main__":
    main()
