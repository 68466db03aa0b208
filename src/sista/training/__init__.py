"""One readable training loop, its schedule, checkpoints, logs and validation."""
