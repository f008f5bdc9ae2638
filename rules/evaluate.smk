"""Study jobs: panel tables put together, alarms against onsets, claims."""


rule collect_study:
    input:
        parts=lambda wildcards: plan.panel_tables(wildcards.study, wildcards.table),
        code=local("results/code/collect_table.json"),
    output:
        "results/studies/{study}/{table}.parquet",
    log:
        "results/logs/studies/{study}/{table}.log",
    wildcard_constraints:
        table="|".join([*PANEL_TABLES, "variants"]),
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/collect_table.py"


rule evaluate_alarms:
    input:
        scores=lambda wildcards: plan.panel_tables(wildcards.study, "scores"),
        transitions="results/studies/{study}/transitions.parquet",
        code=local("results/code/evaluate_alarms.json"),
    output:
        **{
            table: f"results/studies/{{study}}/{table}.parquet"
            for table in EVALUATION_TABLES
        },
    log:
        "results/logs/studies/{study}/evaluation.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        settings=plan.settings("evaluation", "phases", "alarms", "onset", "detectors"),
    script:
        "../workflow/scripts/evaluate_alarms.py"


rule judge_multiverse:
    input:
        variants="results/studies/gai/variants.parquet",
        runs="results/studies/gai/runs.parquet",
        published=local("workflow/report/claims.yaml"),
        code=local("results/code/judge_multiverse.json"),
    output:
        table="results/studies/gai/multiverse.parquet",
    log:
        "results/logs/studies/gai/multiverse.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        settings=plan.settings("alarms", "detectors", "onset", "evaluation"),
    script:
        "../workflow/scripts/judge_multiverse.py"


rule collect_tables:
    input:
        parts=lambda wildcards: plan.study_tables([wildcards.table]),
        code=local("results/code/collect_table.json"),
    output:
        parquet="results/tables/{table}.parquet",
        csv="results/tables/{table}.csv",
    log:
        "results/logs/tables/{table}.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/collect_table.py"


rule judge_claims:
    input:
        runs="results/studies/{study}/runs.parquet",
        transitions="results/studies/{study}/transitions.parquet",
        alarms="results/studies/{study}/alarms.parquet",
        rank="results/studies/{study}/rank.parquet",
        phases="results/studies/{study}/phases.parquet",
        evaluation="results/studies/{study}/evaluation.parquet",
        chance="results/studies/{study}/chance.parquet",
        multiverse=branch(
            lambda wildcards: wildcards.study == "gai",
            then="results/studies/{study}/multiverse.parquet",
        ),
        published=local("workflow/report/claims.yaml"),
        code=local("results/code/judge_claims.json"),
    output:
        table="results/studies/{study}/claims.parquet",
    log:
        "results/logs/studies/{study}/claims.log",
    conda:
        "../envs/analysis.yaml"
    params:
        settings=plan.settings(
            "evaluation",
            "phases",
            "alarms",
            "onset",
            "transitions",
            "rank",
            "detectors",
        ),
    script:
        "../workflow/scripts/judge_claims.py"


rule summarise_study:
    input:
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        runs="results/studies/{study}/runs.parquet",
        transitions="results/studies/{study}/transitions.parquet",
        phases="results/studies/{study}/phases.parquet",
        claims="results/studies/{study}/claims.parquet",
        code=local("results/code/summarise_study.json"),
    output:
        summary="results/summaries/{study}.json",
    log:
        "results/logs/summaries/{study}.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/summarise_study.py"
