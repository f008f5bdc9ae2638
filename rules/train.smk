"""One training a job, one trace a run."""


rule train_run:
    input:
        code="results/code/train_run.json",
    output:
        trace=TRACE_PATTERN,
    log:
        "results/logs/" + TRACE_PATTERN.removeprefix("results/").removesuffix("parquet") + "log",
    params:
        spec=lambda wildcards: plan.spec_json(wildcards),
    # More threads a run gain less than more runs at a time.
    threads: 1
    resources:
        # Torch itself takes 300 MB; the largest data set, activations and log another 150.
        mem_mb=600,
        # The deepest network of the default grid trains 10,000 steps in about 5 minutes.
        runtime=120,
    conda:
        "../envs/training.yaml"
    script:
        "../workflow/scripts/train_run.py"
