"""The result tables of all studies, the report, the explorer, and the check of all results."""

# Tables that the explorer shows.
EXPLORED = [table for table in STUDY_TABLES if table not in ("curves", "multiverse")]
EXPLORER = os.path.relpath(CHECKOUT / "workflow/scripts/grokscope/report/explorer")
explorer_modules = sorted(path.name for path in Path(EXPLORER, "js").glob("*.js"))


rule collect_tables:
    input:
        **{
            table: [study_table(study, table) for study in plan.studies]
            for table in STUDY_TABLES
        },
        code=local("results/code/collect_tables.json"),
    output:
        **{table: f"results/tables/{table}.parquet" for table in STUDY_TABLES},
        **{f"{table}_csv": f"results/tables/{table}.csv" for table in STUDY_TABLES},
        # Which runs the tables are of, and a configuration file that asks for the same again.
        configuration=CONFIGURATION,
        verdicts="results/verdicts.json",
    log:
        "results/logs/tables.log",
    conda:
        "../envs/analysis.yaml"
    params:
        # Patterns of paths have braces, which are no wildcards.
        config=lambda wildcards: plan.config_json(),
    script:
        "../workflow/scripts/collect_tables.py"


rule write_report:
    input:
        **{
            table: f"results/tables/{table}.parquet"
            for table in STUDY_TABLES
            if table not in ("curves", "calibration")
        },
        summaries=[summary(study) for study in plan.studies],
        figures=[plan.figures(study, ["png"]) for study in plan.studies],
        captions=[
            local(f"{TEXTS}/{name}.rst")
            for name in sorted(
                {name for study in plan.studies for name in plan.kind(study).captions}
            )
        ],
        published=local(f"{TEXTS}/claims.yaml"),
        html_template=local(f"{TEXTS}/report.html.j2"),
        md_template=local(f"{TEXTS}/report.md.j2"),
        code=local("results/code/write_report.json"),
    output:
        html="results/report.html",
        md="results/report.md",
    log:
        "results/logs/report.log",
    conda:
        "../envs/analysis.yaml"
    params:
        # Patterns of paths have braces, which are no wildcards.
        config=lambda wildcards: plan.config_json(),
        studies=plan.studies_json(),
    script:
        "../workflow/scripts/write_report.py"


rule write_explorer:
    input:
        **{table: f"results/tables/{table}.parquet" for table in EXPLORED},
        traces=plan.traces(plan.keys()),
        published=local(f"{TEXTS}/claims.yaml"),
        template=local(f"{EXPLORER}/explorer.html.j2"),
        style=local(f"{EXPLORER}/explorer.css"),
        modules=[local(f"{EXPLORER}/js/{name}") for name in explorer_modules],
        code=local("results/code/write_explorer.json"),
    output:
        html="results/explorer.html",
    log:
        "results/logs/explorer.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        # Some ten kilobytes a run, and one trace.
        mem_mb=scaled_by_attempt(2000),
        runtime=scaled_by_attempt(30),
    params:
        specs=plan.specs_json(plan.keys()),
        settings=plan.settings(),
        studies=plan.studies_json(),
    script:
        "../workflow/scripts/write_explorer.py"


rule validate_results:
    input:
        **{table: f"results/tables/{table}.parquet" for table in STUDY_TABLES},
        **{f"{table}_csv": f"results/tables/{table}.csv" for table in STUDY_TABLES},
        variants=[
            path
            for study in plan.varied()
            for path in plan.panel_files(study, "variants.parquet")
        ],
        published=local(f"{TEXTS}/claims.yaml"),
        traces=plan.traces(plan.keys()),
        summaries=[summary(study) for study in plan.studies],
        verdicts="results/verdicts.json",
        html="results/report.html",
        md="results/report.md",
        code=local("results/code/validate_results.json"),
    output:
        validation="results/validation.json",
    log:
        "results/logs/validation.log",
    conda:
        "../envs/analysis.yaml"
    # Everything is measured again, panel by panel; it runs last, when cores are free.
    threads: 4
    resources:
        # Each process holds one trace.
        mem_mb=scaled_by_attempt(3000),
        runtime=scaled_by_attempt(60),
    params:
        specs=lambda wildcards: plan.specs_json(plan.keys()),
        settings=plan.settings(),
        studies=plan.studies_json(),
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
