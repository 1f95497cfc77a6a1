"""What runs a model: one small interface, and one file for each format."""

import os

# From its import on, ONNX Runtime reports to its maker over the network, unless this says otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
