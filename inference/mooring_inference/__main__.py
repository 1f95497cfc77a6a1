"""``python -m mooring_inference``."""

from mooring_inference.main import main

if __name__ == "__main__":
    main()
