"""``mooring-inference`` and ``python -m mooring_inference``."""

from mooring_artifacts.roles import packages_of


def main() -> None:
    """Run the server or one of its subcommands, or say which packages it lacks."""
    with packages_of("inference", "mooring-inference"):
        from mooring_inference.main import main as run
    run()


if __name__ == "__main__":
    main()
