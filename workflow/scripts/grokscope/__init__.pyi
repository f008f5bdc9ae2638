from grokscope.api import (
    Analysis,
    GradientMonitor,
    RunSpec,
    Trace,
    default_analysis,
    evaluate_alarms,
    find_alarms,
    find_onset,
    import_logs,
    read_runs,
    read_trace,
    run_spec,
    score_detectors,
    train_run,
)

__all__ = [
    "Analysis",
    "GradientMonitor",
    "RunSpec",
    "Trace",
    "default_analysis",
    "evaluate_alarms",
    "find_alarms",
    "find_onset",
    "import_logs",
    "read_runs",
    "read_trace",
    "run_spec",
    "score_detectors",
    "train_run",
]
__version__: str
