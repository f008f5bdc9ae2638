"""Runs: what a configuration asks for: settings, tasks, run table, jobs and paths."""
