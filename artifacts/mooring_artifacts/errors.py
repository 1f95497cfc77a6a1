"""The one exception that these functions raise for input that a person has to correct."""


class InputError(ValueError):
    """Bad input: the message names the field, the value and what is allowed."""
