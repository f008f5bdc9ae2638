"""Study jobs: concatenated panel tables, alarms against onsets."""


rule collect_study:
    input:
        **{
            table: lambda wildcards, table=table: plan.panel_files(
                wildcards.study, f"{table}.parquet"
            )
            for table in PANEL_TABLES
        },
        code=local("results/code/collect_study.json"),
    output:
        **{table: study_table("{study}", table) for table in PANEL_TABLES},
    log:
        "results/logs/studies/{study}/collect.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/collect_study.py"


rule evaluate_alarms:
    input:
        scores=lambda wildcards: plan.panel_files(wildcards.study, "scores.parquet"),
        transitions=study_table("{study}", "transitions"),
        alarms=study_table("{study}", "alarms"),
        code=local("results/code/evaluate_alarms.json"),
    output:
        **{table: study_table("{study}", table) for table in EVALUATION_TABLES},
    log:
        "results/logs/studies/{study}/evaluation.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        settings=plan.settings("evaluation", "phases", "alarms", "onset", "detectors"),
    script:
        "../workflow/scripts/evaluate_alarms.py"
