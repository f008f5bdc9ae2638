"""Workflow: what only Snakemake's scripts and rules use."""
