"""One training a job, one trace a run."""


rule train_run:
    input:
        code="results/code/train_run.json",
    output:
        trace=TRACE_PATTERN,
    log:
        "results/logs/traces/{study}/task={task}/depth={depth}/train_fraction={train_fraction}/weight_decay={weight_decay}/width={width}/seed={seed}.log",
    conda:
        "../envs/training.yaml"
    # More threads a run gain less than more runs at a time.
    threads: 1
    resources:
        # Torch itself takes 300 MB; the largest data set, activations and log another 150.
        mem_mb=600,
        # The deepest network of the default grid trains 10,000 steps in about 5 minutes.
        runtime=120,
    params:
        spec=lambda wildcards: plan.spec_json(wildcards),
    script:
        "../workflow/scripts/train_run.py"
