"""Every setting of the command ``erase``."""

from __future__ import annotations

from mooring_inference.capture.settings import HMAC_KEY_VARIABLE
from mooring_inference.flags.setting import Group, Setting, path

WHERE = Group(
    "what is erased",
    (
        Setting("capture_uri", "where requests were captured", "URI", required=True),
        Setting(
            "deployment", "whose requests: the name behind deployment= in their paths", "NAME", required=True
        ),
        Setting("ids", "ids of requests: a file with one in a line", "FILE", path),
        Setting("column", "a column that tells whose row it is, such as customer", "NAME"),
        Setting("values", "what it holds in rows to erase: a file with one value in a line", "FILE", path),
        Setting(
            "capture_hmac_key_file",
            "the key that values of a column with the mask hmac were digested with",
            "FILE",
            path,
            secret=HMAC_KEY_VARIABLE,
        ),
        Setting("dry_run", "say what would be erased, and change nothing"),
    ),
)

GROUPS = (WHERE,)
