"""Core: files, schemas, provenance, formatting and errors that every stage uses."""
