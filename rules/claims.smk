"""Study jobs: verdicts on published claims, headline numbers under every choice, summary."""


rule judge_study:
    input:
        **{table: study_table("{study}", table) for table in PANEL_TABLES},
        variants=lambda wildcards: (
            plan.panel_files(wildcards.study, "variants.parquet")
            if plan.kind(wildcards.study).has_variants
            else []
        ),
        published=local(f"{TEXTS}/claims.yaml"),
        code=local("results/code/judge_study.json"),
    output:
        **{table: study_table("{study}", table) for table in CLAIM_TABLES},
    log:
        "results/logs/studies/{study}/claims.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        study=lambda wildcards: plan.study_json(wildcards.study),
        settings=plan.settings("evaluation", "phases", "alarms", "onset", "detectors"),
    script:
        "../workflow/scripts/judge_study.py"


rule summarise_study:
    input:
        environments=lambda wildcards: plan.panel_files(
            wildcards.study, "environment.json"
        ),
        runs=study_table("{study}", "runs"),
        transitions=study_table("{study}", "transitions"),
        phases=study_table("{study}", "phases"),
        claims=study_table("{study}", "claims"),
        code=local("results/code/summarise_study.json"),
    output:
        summary=summary("{study}"),
    log:
        "results/logs/summaries/{study}.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/summarise_study.py"
