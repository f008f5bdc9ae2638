"""Monitor: norms, logs and alarms of any training loop, while it runs."""
