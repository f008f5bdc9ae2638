from grokscope.api import (
    Analysis as Analysis,
    RunSpec as RunSpec,
    Trace as Trace,
    default_analysis as default_analysis,
    evaluate_alarms as evaluate_alarms,
    find_alarms as find_alarms,
    find_onset as find_onset,
    read_trace as read_trace,
    run_spec as run_spec,
    score_detectors as score_detectors,
    train_run as train_run,
)

__version__: str
