"""Imports: logs of anyone's trainings to traces, those of a panel by one job.

Small logs are read in less time than Python takes to start, and a panel is measured as a whole.
"""

# The hash of a log stands in the parameters, so a touched log is not read again.
for number, keys in enumerate(plan.imports(), 1):

    rule:
        name:
            f"import_block_{number}"
        input:
            logs=[ancient(log) for log in plan.logs(keys)],
            code=local("results/code/import_logs.json"),
        output:
            traces=plan.traces(keys),
        log:
            f"results/logs/imports/{keys[0].study}/block={number}.log",
        conda:
            "../envs/analysis.yaml"
        resources:
            mem_mb=scaled_by_attempt(1500),
            runtime=scaled_by_attempt(30),
        params:
            # Patterns of paths have braces, which are no wildcards.
            specs=lambda wildcards, keys=keys: plan.specs_json(keys),
            source=lambda wildcards, keys=keys: plan.source_json(keys[0].study),
        script:
            "../workflow/scripts/import_logs.py"
