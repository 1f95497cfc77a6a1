"""The settings of capture, which the server and the collector share."""

from __future__ import annotations

from mooring_inference.capture.settings import HMAC_KEY_VARIABLE, SAMPLE_KEY_VARIABLE
from mooring_inference.flags.setting import Group, Setting

# Values stay text, which ``capture.parse_capture`` reads: most of them say nothing without the others.
CAPTURE = Group(
    "capture of features and predictions, as Parquet",
    (
        Setting(
            "capture_uri",
            "folder, s3://, gs:// or az:// that requests are kept in",
            "URI",
            otherwise="none",
            environment="MOORING_CAPTURE_URI",
        ),
        Setting(
            "capture_sample",
            "share of requests, 0 to 1, drawn by a keyed hash of their ids",
            "SHARE",
            otherwise="1",
            environment="MOORING_CAPTURE_SAMPLE",
        ),
        Setting(
            "capture_key_file",
            "key of that hash, the same for all replicas",
            "FILE",
            otherwise="one of each process",
            secret=SAMPLE_KEY_VARIABLE,
        ),
        Setting(
            "capture_features",
            "features or inputs to keep",
            "A,B",
            otherwise="all",
            environment="MOORING_CAPTURE_FEATURES",
        ),
        Setting(
            "capture_mask",
            "drop, hmac or bucket:EDGE,EDGE, before anything leaves the process",
            "A=RULE,...",
            environment="MOORING_CAPTURE_MASK",
        ),
        Setting("capture_hmac_key_file", "key of hmac masks", "FILE", secret=HMAC_KEY_VARIABLE),
        Setting(
            "capture_flush_seconds", "how long rows wait for a complete file at most", "S", otherwise="60"
        ),
        Setting(
            "capture_retention_hours",
            "older files are deleted",
            "H",
            otherwise="never",
            environment="MOORING_CAPTURE_RETENTION_HOURS",
        ),
        Setting(
            "capture_buffer_bytes",
            "memory that requests may hold until they are written",
            "BYTES",
            otherwise="67108864",
        ),
        Setting(
            "capture_spool_dir",
            "where files wait for the object store",
            "PATH",
            environment="MOORING_CAPTURE_SPOOL_DIR",
        ),
        Setting("capture_spool_bytes", "of files that wait there", "BYTES", otherwise="1073741824"),
        Setting(
            "route",
            "stable, candidate or shadow; x-mooring-route says otherwise for a request",
            "NAME",
            otherwise="stable",
        ),
        Setting("deployment", "what the folder of the files is called", "NAME", otherwise="the model's name"),
    ),
)
