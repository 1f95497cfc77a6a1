"""What happens next to a DriftMonitor."""
