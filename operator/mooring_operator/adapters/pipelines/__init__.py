"""Where runs run: the port, and one file for each backend."""

from mooring_operator.adapters.pipelines.port import LaunchUncertain as LaunchUncertain
from mooring_operator.adapters.pipelines.port import Pipelines as Pipelines
from mooring_operator.adapters.pipelines.port import PipelinesRefused as PipelinesRefused
from mooring_operator.adapters.pipelines.port import PipelinesUnavailable as PipelinesUnavailable
