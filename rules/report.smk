"""The report, and the check of all results against the traces."""


rule write_report:
    input:
        **{
            table: f"results/tables/{table}.parquet"
            for table in (
                "runs",
                "transitions",
                "alarms",
                "rank",
                "phases",
                "evaluation",
                "chance",
                "multiverse",
                "claims",
            )
        },
        summaries=expand("results/summaries/{study}.json", study=plan.config["studies"]),
        figures=[plan.figures(study, ["png"]) for study in plan.config["studies"]],
        captions=[
            local(f"workflow/report/{name}.rst")
            for study in plan.config["studies"]
            for name in CAPTIONS[study]
        ],
        published=local("workflow/report/claims.yaml"),
        html_template=local("workflow/report/report.html.j2"),
        md_template=local("workflow/report/report.md.j2"),
        code=local("results/code/write_report.json"),
    output:
        html="results/report.html",
        md="results/report.md",
    log:
        "results/logs/report.log",
    conda:
        "../envs/analysis.yaml"
    params:
        config=to_json(plan.config),
    script:
        "../workflow/scripts/write_report.py"


rule validate_results:
    input:
        **{table: f"results/tables/{table}.parquet" for table in STUDY_TABLES},
        **{f"{table}_csv": f"results/tables/{table}.csv" for table in STUDY_TABLES},
        variants="results/studies/gai/variants.parquet",
        published=local("workflow/report/claims.yaml"),
        traces=plan.traces(plan.keys()),
        summaries=expand("results/summaries/{study}.json", study=plan.config["studies"]),
        html="results/report.html",
        md="results/report.md",
        code=local("results/code/validate_results.json"),
    output:
        validation="results/validation.json",
    log:
        "results/logs/validation.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        specs=plan.specs_json(plan.keys()),
        settings=to_json(plan.config["analysis"]),
    script:
        "../workflow/scripts/validate_results.py"


rule check_validation:
    input:
        validation="results/validation.json",
        code=local("results/code/check_validation.json"),
    output:
        stamp="results/validated.txt",
    log:
        "results/logs/check_validation.log",
    conda:
        "../envs/analysis.yaml"
    script:
        "../workflow/scripts/check_validation.py"
