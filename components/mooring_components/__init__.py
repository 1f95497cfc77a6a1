"""What runs inside the steps of Mooring's pipelines: pure functions, tested without a cluster."""

import os

# From its import on, ONNX Runtime reports to its maker over the network, unless this says otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
