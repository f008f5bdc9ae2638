"""Panel jobs: what is measured on the traces of one (study, task, depth).

A panel of 100 runs of 50,000 steps takes less than 1.5 GB. One job makes all tables of a panel:
starting Python and verifying the traces takes longer than making most of them.
"""


rule measure_panel:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/measure_panel.json"),
    output:
        **{table: f"{PANEL_FOLDER}/{table}.parquet" for table in PANEL_TABLES},
        scores=f"{PANEL_FOLDER}/scores.parquet",
        environment=f"{PANEL_FOLDER}/environment.json",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/measure.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings(
            "onset", "transitions", "alarms", "detectors", "causes", "rank", "phases"
        ),
    script:
        "../workflow/scripts/measure_panel.py"


rule vary_analysis:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/vary_analysis.json"),
    output:
        table=f"{PANEL_FOLDER}/variants.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/variants.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("alarms", "onset", "phases", "multiverse", "rank"),
    script:
        "../workflow/scripts/vary_analysis.py"
