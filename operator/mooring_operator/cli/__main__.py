"""``mooring``, ``kubectl mooring`` and ``python -m mooring_operator.cli``."""

from mooring_artifacts.roles import packages_of


def main() -> None:
    """Run the command line, or say which packages it lacks."""
    with packages_of("cli", "mooring"):
        from mooring_operator.cli.main import main as run
    run()


if __name__ == "__main__":
    main()
