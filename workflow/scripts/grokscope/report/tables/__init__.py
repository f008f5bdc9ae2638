"""Report tables: what each chapter prints beside its figures."""
