"""Claims: what was published, judged by the tables of a study and by nothing else."""
