"""Trainings: one trace per run; one job per run or per block of short runs."""


rule train_run:
    input:
        code=local("results/code/train_runs.json"),
    output:
        trace=TRACE_PATTERN,
    log:
        TRACE_PATTERN.replace("results/", "results/logs/", 1).replace(
            ".parquet", ".log"
        ),
    wildcard_constraints:
        study=plan.trained(),
    priority: lambda wildcards: plan.priority([plan.run_of(wildcards)])
    conda:
        "../envs/training.yaml"
    # More threads per run gain less than more runs at a time.
    threads: 1
    resources:
        # Libraries take 180 MB (torch on an accelerator 350); the largest data set, activations and
        # log another 150.
        mem_mb=scaled_by_attempt(600),
        runtime=scaled_by_attempt(
            lambda wildcards: plan.minutes([plan.run_of(wildcards)])
        ),
        gpu=int(plan.config.device == "cuda"),
    params:
        specs=lambda wildcards: plan.specs_json([plan.run_of(wildcards)]),
    script:
        "../workflow/scripts/train_runs.py"


# One rule for all blocks whose paths have the same endings (weight decays and seeds); the cell, the
# beginning of the paths, tells them apart.
for number, block in enumerate(plan.block_rules, 1):

    rule:
        name:
            f"train_block_{number}"
        input:
            code=local("results/code/train_runs.json"),
        output:
            traces=[f"results/traces/{{cell}}/{suffix}" for suffix in block.suffixes],
        log:
            f"results/logs/traces/{{cell}}/block={number}.log",
        wildcard_constraints:
            cell="|".join(map(re.escape, block.blocks)),
        priority: lambda wildcards, block=block: plan.priority(block.blocks[wildcards.cell])
        conda:
            "../envs/training.yaml"
        threads: 1
        resources:
            mem_mb=scaled_by_attempt(600),
            runtime=scaled_by_attempt(
                lambda wildcards, block=block: plan.minutes(
                    block.blocks[wildcards.cell]
                )
            ),
            gpu=int(plan.config.device == "cuda"),
        params:
            specs=lambda wildcards, block=block: plan.specs_json(
                block.blocks[wildcards.cell]
            ),
        script:
            "../workflow/scripts/train_runs.py"

    workflow.ruleorder(f"train_block_{number}", "train_run")
