"""What the operator hands to the program that asks a monitoring service for a number, and how that answers.

It ends with 0 and has written ``{"value": NUMBER}``, or with the code of `webhooks.INSUFFICIENT` and a sentence.
"""

QUESTION = "MOORING_QUESTION"
SECONDS = "MOORING_SECONDS"
"""Environment variables: what is asked, as JSON with the name of the service in `provider`, and for how long."""
