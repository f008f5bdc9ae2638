"""Figures of studies, from the traces and tables of one study alone.

One rule per figure, for all studies of its kind. Those of single runs are one job per study.
"""

# A rule has a fixed number of outputs, so each study has its own rule for the figures of its runs.
for study in plan.studies:
    if plan.run_figures(study, "png"):

        rule:
            name:
                f"plot_overlays_{study}"
            input:
                traces=plan.traces(plan.keys(study)),
                transitions=study_table(study, "transitions"),
                code=local("results/code/plot_overlays.json"),
            output:
                png=report(
                    plan.run_figures(study, "png"),
                    caption="../workflow/report/overlay.rst",
                    category=study,
                ),
                svg=plan.run_figures(study, "svg"),
            log:
                f"results/logs/figures/{study}/overlays.log",
            conda:
                "../envs/analysis.yaml"
            resources:
                mem_mb=scaled_by_attempt(1500),
                runtime=scaled_by_attempt(30),
            script:
                "../workflow/scripts/plot_overlays.py"


rule plot_summary_grid:
    input:
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        transitions=study_table("{study}", "transitions"),
        code=local("results/code/plot_summary_grid.json"),
    output:
        png=report(
            "results/figures/{study}/summary_grid.png",
            caption="../workflow/report/summary_grid.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/summary_grid.svg",
    log:
        "results/logs/figures/{study}/summary_grid.log",
    wildcard_constraints:
        study=plan.named("lead_lag"),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        settings=plan.settings("transitions"),
    script:
        "../workflow/scripts/plot_summary_grid.py"


rule plot_lags:
    input:
        runs=study_table("{study}", "runs"),
        transitions=study_table("{study}", "transitions"),
        published=local(f"{TEXTS}/claims.yaml"),
        code=local("results/code/plot_lags.json"),
    output:
        png=report(
            "results/figures/{study}/lags.png",
            caption="../workflow/report/lags.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/lags.svg",
    log:
        "results/logs/figures/{study}/lags.log",
    wildcard_constraints:
        study=plan.named("lead_lag"),
    conda:
        "../envs/analysis.yaml"
    params:
        claims=lambda wildcards: plan.config.studies[wildcards.study].claims or "",
    script:
        "../workflow/scripts/plot_lags.py"


rule plot_weight_norms:
    input:
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        code=local("results/code/plot_weight_norms.json"),
    output:
        png=report(
            "results/figures/{study}/weight_norms.png",
            caption="../workflow/report/weight_norms.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/weight_norms.svg",
    log:
        "results/logs/figures/{study}/weight_norms.log",
    wildcard_constraints:
        study=plan.named("lead_lag"),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    script:
        "../workflow/scripts/plot_weight_norms.py"


rule plot_phase_diagram:
    input:
        phases=study_table("{study}", "phases"),
        code=local("results/code/plot_phase_diagram.json"),
    output:
        png=report(
            "results/{study}.png",
            caption="../workflow/report/phase_diagram.rst",
            category="{study}",
        ),
        svg="results/{study}.svg",
    log:
        "results/logs/figures/{study}/phase_diagram.log",
    wildcard_constraints:
        study=plan.named("phase_diagram"),
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_phase_diagram.py"


rule plot_delay_map:
    input:
        phases=study_table("{study}", "phases"),
        code=local("results/code/plot_delay_map.json"),
    output:
        png=report(
            "results/figures/{study}/delay_map.png",
            caption="../workflow/report/delay_map.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/delay_map.svg",
    log:
        "results/logs/figures/{study}/delay_map.log",
    wildcard_constraints:
        study=plan.named("phase_diagram"),
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_delay_map.py"


rule plot_example_curves:
    input:
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        phases=study_table("{study}", "phases"),
        code=local("results/code/plot_example_curves.json"),
    output:
        png=report(
            "results/figures/{study}/example_curves.png",
            caption="../workflow/report/example_curves.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/example_curves.svg",
    log:
        "results/logs/figures/{study}/example_curves.log",
    wildcard_constraints:
        study=plan.named("phase_diagram"),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    script:
        "../workflow/scripts/plot_example_curves.py"


rule plot_effects:
    input:
        phases=study_table("{study}", "phases"),
        code=local("results/code/plot_effects.json"),
    output:
        png=report(
            "results/figures/{study}/effects.png",
            caption="../workflow/report/effects.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/effects.svg",
    log:
        "results/logs/figures/{study}/effects.log",
    wildcard_constraints:
        study=plan.named("phase_diagram"),
    conda:
        "../envs/analysis.yaml"
    params:
        settings=plan.settings("evaluation"),
    script:
        "../workflow/scripts/plot_effects.py"


rule plot_detection_curves:
    input:
        runs=study_table("{study}", "runs"),
        curves=study_table("{study}", "curves"),
        chance=study_table("{study}", "chance"),
        code=local("results/code/plot_detection_curves.json"),
    output:
        png=report(
            "results/figures/{study}/detection_curves.png",
            caption="../workflow/report/detection_curves.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/detection_curves.svg",
    log:
        "results/logs/figures/{study}/detection_curves.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_detection_curves.py"


rule plot_specification_curves:
    input:
        runs=study_table("{study}", "runs"),
        multiverse=study_table("{study}", "multiverse"),
        published=local(f"{TEXTS}/claims.yaml"),
        code=local("results/code/plot_specification_curves.json"),
    output:
        png=report(
            "results/figures/{study}/specification_curves.png",
            caption="../workflow/report/specification_curves.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/specification_curves.svg",
    log:
        "results/logs/figures/{study}/specification_curves.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    params:
        claims=lambda wildcards: plan.config.studies[wildcards.study].claims or "",
    script:
        "../workflow/scripts/plot_specification_curves.py"


rule plot_outcomes:
    input:
        transitions=study_table("{study}", "transitions"),
        phases=study_table("{study}", "phases"),
        code=local("results/code/plot_outcomes.json"),
    output:
        png=report(
            "results/figures/{study}/outcomes.png",
            caption="../workflow/report/outcomes.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/outcomes.svg",
    log:
        "results/logs/figures/{study}/outcomes.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_outcomes.py"


rule plot_gai_trace:
    input:
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        transitions=study_table("{study}", "transitions"),
        alarms=study_table("{study}", "alarms"),
        code=local("results/code/plot_gai_trace.json"),
    output:
        png=report(
            "results/figures/{study}/gai_trace.png",
            caption="../workflow/report/gai_trace.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/gai_trace.svg",
    log:
        "results/logs/figures/{study}/gai_trace.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        settings=plan.settings("alarms", "phases"),
    script:
        "../workflow/scripts/plot_gai_trace.py"


rule plot_alarm_leads:
    input:
        runs=study_table("{study}", "runs"),
        transitions=study_table("{study}", "transitions"),
        alarms=study_table("{study}", "alarms"),
        published=local(f"{TEXTS}/claims.yaml"),
        code=local("results/code/plot_alarm_leads.json"),
    output:
        png=report(
            "results/figures/{study}/alarm_leads.png",
            caption="../workflow/report/alarm_leads.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/alarm_leads.svg",
    log:
        "results/logs/figures/{study}/alarm_leads.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    params:
        claims=lambda wildcards: plan.config.studies[wildcards.study].claims or "",
    script:
        "../workflow/scripts/plot_alarm_leads.py"


rule plot_rank_at_onset:
    input:
        runs=study_table("{study}", "runs"),
        traces=lambda wildcards: plan.traces(plan.keys(wildcards.study)),
        rank=study_table("{study}", "rank"),
        published=local(f"{TEXTS}/claims.yaml"),
        code=local("results/code/plot_rank_at_onset.json"),
    output:
        png=report(
            "results/figures/{study}/rank_at_onset.png",
            caption="../workflow/report/rank_at_onset.rst",
            category="{study}",
        ),
        svg="results/figures/{study}/rank_at_onset.svg",
    log:
        "results/logs/figures/{study}/rank_at_onset.log",
    wildcard_constraints:
        study=plan.named("early_warning"),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=scaled_by_attempt(1500),
        runtime=scaled_by_attempt(30),
    params:
        claims=lambda wildcards: plan.config.studies[wildcards.study].claims or "",
    script:
        "../workflow/scripts/plot_rank_at_onset.py"
