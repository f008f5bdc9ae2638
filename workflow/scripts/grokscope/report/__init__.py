"""Report: the page, its tables, study summaries and the check of all results."""
