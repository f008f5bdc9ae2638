"""Data: traces and result tables, their formats, readers and writers."""
