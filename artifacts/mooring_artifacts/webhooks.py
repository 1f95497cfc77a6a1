"""What the operator hands to the program that asks a webhook, and what that program's exit code says."""

URL = "MOORING_WEBHOOK_URL"
BODY = "MOORING_WEBHOOK_BODY"
SECONDS = "MOORING_WEBHOOK_SECONDS"
"""Environment variables: the address, what is posted to it, and for how long it is asked."""

YES = 0
NO = 10
"""The webhook has refused: a code that no interpreter ends with by itself."""
INSUFFICIENT = 75
"""Nothing was found out; the code of EX_TEMPFAIL, for Jobs of steps too."""
