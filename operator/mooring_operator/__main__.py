"""``mooring-operator`` and ``python -m mooring_operator``."""

from mooring_artifacts.roles import packages_of


def main() -> None:
    """Run the operator, or say which packages it lacks."""
    with packages_of("operator", "mooring-operator"):
        from mooring_operator.main import main as run
    run()


if __name__ == "__main__":
    main()
