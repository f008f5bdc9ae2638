"""Panel jobs: what is read off the traces of one (study, task, depth).

A panel of 100 runs of 50,000 steps takes less than 1.5 GB.
"""


rule list_runs:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/list_runs.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/runs.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/runs.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
    script:
        "../workflow/scripts/list_runs.py"


rule find_transitions:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/find_transitions.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/transitions.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/transitions.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("onset", "transitions"),
    script:
        "../workflow/scripts/find_transitions.py"


rule find_alarms:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/find_alarms.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/alarms.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/alarms.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("alarms", "onset", "causes"),
    script:
        "../workflow/scripts/find_alarms.py"


rule score_runs:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/score_runs.json"),
    output:
        scores="results/panels/{study}/task={task}/depth={depth}/scores.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/scores.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("alarms", "onset", "detectors"),
    script:
        "../workflow/scripts/score_runs.py"


rule vary_analysis:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/vary_analysis.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/variants.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/variants.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings(
            "alarms", "detectors", "onset", "phases", "multiverse", "rank"
        ),
    script:
        "../workflow/scripts/vary_analysis.py"


rule measure_rank:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/measure_rank.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/rank.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/rank.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("onset", "rank"),
    script:
        "../workflow/scripts/measure_rank.py"


rule label_phases:
    input:
        traces=lambda wildcards: plan.traces(plan.panel_of(wildcards)),
        code=local("results/code/label_phases.json"),
    output:
        table="results/panels/{study}/task={task}/depth={depth}/phases.parquet",
    log:
        "results/logs/panels/{study}/task={task}/depth={depth}/phases.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=lambda wildcards: plan.specs_json(plan.panel_of(wildcards)),
        settings=plan.settings("phases"),
    script:
        "../workflow/scripts/label_phases.py"
