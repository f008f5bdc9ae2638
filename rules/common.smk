"""What all rules share: wildcards."""


wildcard_constraints:
    study="|".join(STUDIES),
    task=r"[a-z0-9_]+",
    depth=r"\d+",
    train_fraction=r"\d+\.\d+",
    weight_decay=r"\d+\.\d+",
    width=r"\d+",
    seed=r"\d+",
    table="|".join(STUDY_TABLES),
