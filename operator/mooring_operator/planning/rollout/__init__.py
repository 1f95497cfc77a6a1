"""What happens next to a ModelDeployment: start reading at `plan`."""
