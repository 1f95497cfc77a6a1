"""What ends a release."""


class ReleaseError(Exception):
    """A release cannot be made; the message says in one line why, and what to do."""
