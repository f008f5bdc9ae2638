"""Figures, one rule each, from the traces and tables of their study alone."""


rule plot_overlay:
    input:
        trace=lambda wildcards: plan.run_of(wildcards).path,
        transitions="results/studies/{study}/transitions.parquet",
        code=local("results/code/plot_overlay.json"),
    output:
        png=report(
            f"{OVERLAY_PATTERN}.png",
            caption="../workflow/report/overlay.rst",
            category="lead_lag",
        ),
        svg=f"{OVERLAY_PATTERN}.svg",
    log:
        "results/logs/figures/{study}/overlays/task={task}/depth={depth}/train_fraction={train_fraction}/weight_decay={weight_decay}/width={width}/seed={seed}.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_overlay.py"


rule plot_summary_grid:
    input:
        traces=plan.traces(plan.keys("lead_lag")),
        transitions="results/studies/lead_lag/transitions.parquet",
        code=local("results/code/plot_summary_grid.json"),
    output:
        png=report(
            "results/figures/lead_lag/summary_grid.png",
            caption="../workflow/report/summary_grid.rst",
            category="lead_lag",
        ),
        svg="results/figures/lead_lag/summary_grid.svg",
    log:
        "results/logs/figures/lead_lag/summary_grid.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        settings=plan.settings("transitions"),
    script:
        "../workflow/scripts/plot_summary_grid.py"


rule plot_lags:
    input:
        transitions="results/studies/lead_lag/transitions.parquet",
        code=local("results/code/plot_lags.json"),
    output:
        png=report(
            "results/figures/lead_lag/lags.png",
            caption="../workflow/report/lags.rst",
            category="lead_lag",
        ),
        svg="results/figures/lead_lag/lags.svg",
    log:
        "results/logs/figures/lead_lag/lags.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_lags.py"


rule plot_weight_norms:
    input:
        traces=plan.traces(plan.keys("lead_lag")),
        code=local("results/code/plot_weight_norms.json"),
    output:
        png=report(
            "results/figures/lead_lag/weight_norms.png",
            caption="../workflow/report/weight_norms.rst",
            category="lead_lag",
        ),
        svg="results/figures/lead_lag/weight_norms.svg",
    log:
        "results/logs/figures/lead_lag/weight_norms.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    script:
        "../workflow/scripts/plot_weight_norms.py"


rule plot_phase_diagram:
    input:
        phases="results/studies/phase_diagram/phases.parquet",
        code=local("results/code/plot_phase_diagram.json"),
    output:
        png=report(
            "results/phase_diagram.png",
            caption="../workflow/report/phase_diagram.rst",
            category="phase_diagram",
        ),
        svg="results/phase_diagram.svg",
    log:
        "results/logs/figures/phase_diagram/phase_diagram.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_phase_diagram.py"


rule plot_delay_map:
    input:
        phases="results/studies/phase_diagram/phases.parquet",
        code=local("results/code/plot_delay_map.json"),
    output:
        png=report(
            "results/figures/phase_diagram/delay_map.png",
            caption="../workflow/report/delay_map.rst",
            category="phase_diagram",
        ),
        svg="results/figures/phase_diagram/delay_map.svg",
    log:
        "results/logs/figures/phase_diagram/delay_map.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_delay_map.py"


rule plot_example_curves:
    input:
        traces=plan.traces(plan.keys("phase_diagram")),
        phases="results/studies/phase_diagram/phases.parquet",
        code=local("results/code/plot_example_curves.json"),
    output:
        png=report(
            "results/figures/phase_diagram/example_curves.png",
            caption="../workflow/report/example_curves.rst",
            category="phase_diagram",
        ),
        svg="results/figures/phase_diagram/example_curves.svg",
    log:
        "results/logs/figures/phase_diagram/example_curves.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    script:
        "../workflow/scripts/plot_example_curves.py"


rule plot_effects:
    input:
        phases="results/studies/phase_diagram/phases.parquet",
        code=local("results/code/plot_effects.json"),
    output:
        png=report(
            "results/figures/phase_diagram/effects.png",
            caption="../workflow/report/effects.rst",
            category="phase_diagram",
        ),
        svg="results/figures/phase_diagram/effects.svg",
    log:
        "results/logs/figures/phase_diagram/effects.log",
    conda:
        "../envs/analysis.yaml"
    params:
        settings=plan.settings("evaluation"),
    script:
        "../workflow/scripts/plot_effects.py"


rule plot_gai_trace:
    input:
        traces=plan.traces(plan.keys("gai")),
        transitions="results/studies/gai/transitions.parquet",
        alarms="results/studies/gai/alarms.parquet",
        code=local("results/code/plot_gai_trace.json"),
    output:
        png=report(
            "results/figures/gai/gai_trace.png",
            caption="../workflow/report/gai_trace.rst",
            category="gai",
        ),
        svg="results/figures/gai/gai_trace.svg",
    log:
        "results/logs/figures/gai/gai_trace.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        settings=plan.settings("alarms", "phases"),
    script:
        "../workflow/scripts/plot_gai_trace.py"


rule plot_detection_curves:
    input:
        curves="results/studies/gai/curves.parquet",
        chance="results/studies/gai/chance.parquet",
        code=local("results/code/plot_detection_curves.json"),
    output:
        png=report(
            "results/figures/gai/detection_curves.png",
            caption="../workflow/report/detection_curves.rst",
            category="gai",
        ),
        svg="results/figures/gai/detection_curves.svg",
    log:
        "results/logs/figures/gai/detection_curves.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_detection_curves.py"


rule plot_specification_curves:
    input:
        multiverse="results/studies/gai/multiverse.parquet",
        published=local("workflow/report/claims.yaml"),
        code=local("results/code/plot_specification_curves.json"),
    output:
        png=report(
            "results/figures/gai/specification_curves.png",
            caption="../workflow/report/specification_curves.rst",
            category="gai",
        ),
        svg="results/figures/gai/specification_curves.svg",
    log:
        "results/logs/figures/gai/specification_curves.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_specification_curves.py"


rule plot_alarm_leads:
    input:
        transitions="results/studies/gai/transitions.parquet",
        alarms="results/studies/gai/alarms.parquet",
        code=local("results/code/plot_alarm_leads.json"),
    output:
        png=report(
            "results/figures/gai/alarm_leads.png",
            caption="../workflow/report/alarm_leads.rst",
            category="gai",
        ),
        svg="results/figures/gai/alarm_leads.svg",
    log:
        "results/logs/figures/gai/alarm_leads.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_alarm_leads.py"


rule plot_rank_at_onset:
    input:
        traces=plan.traces(plan.keys("gai")),
        rank="results/studies/gai/rank.parquet",
        code=local("results/code/plot_rank_at_onset.json"),
    output:
        png=report(
            "results/figures/gai/rank_at_onset.png",
            caption="../workflow/report/rank_at_onset.rst",
            category="gai",
        ),
        svg="results/figures/gai/rank_at_onset.svg",
    log:
        "results/logs/figures/gai/rank_at_onset.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    script:
        "../workflow/scripts/plot_rank_at_onset.py"


rule plot_gai_outcomes:
    input:
        transitions="results/studies/gai/transitions.parquet",
        phases="results/studies/gai/phases.parquet",
        code=local("results/code/plot_gai_outcomes.json"),
    output:
        png=report(
            "results/figures/gai/gai_outcomes.png",
            caption="../workflow/report/gai_outcomes.rst",
            category="gai",
        ),
        svg="results/figures/gai/gai_outcomes.svg",
    log:
        "results/logs/figures/gai/gai_outcomes.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/plot_gai_outcomes.py"
