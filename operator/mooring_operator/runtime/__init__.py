"""What keeps the reconcilers running: queue, leadership, telemetry, logs, health."""
