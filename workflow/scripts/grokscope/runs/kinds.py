"""Kinds of studies: what each asks, and which figures and claims a study of the kind has.

A study is a name of the user's choosing with a kind. To add a kind, add an entry here, a rule for
each of its figures (``rules/figures.smk``) and a chapter (``grokscope.report.chapters``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Properties of all studies of a kind.

    Attributes
    ----------
    title, question
        Heading and first sentence of its chapter of the report.
    figures
        Names of its figures, in the order of the report; the caption of each is
        ``workflow/report/{name}.rst``.
    main_figure
        The figure that is written to ``results/{study}.png``; None if there is none.
    run_figure
        Name of a figure that is drawn for every run; None if there is none.
    has_variants
        Whether its headline numbers are also measured under every analysis choice.
    claim_sets
        Names of the claim sets by which a study of the kind may be judged.
    needs
        What these claims are about, by the names of detectors and of
        ``grokscope.measure.lacking.MEASURES``: a run whose log lacks it is not judged.
    """

    name: str
    title: str
    question: str
    figures: tuple[str, ...]
    main_figure: str | None = None
    run_figure: str | None = None
    has_variants: bool = False
    claim_sets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """Names of all its captions."""
        return self.figures + ((self.run_figure,) if self.run_figure else ())


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="lead_lag",
            title="Lead and lag",
            question="Does the gradient norm peak before the test metric rises?",
            figures=("summary_grid", "lags", "weight_norms"),
            run_figure="overlay",
            claim_sets=("LL",),
            needs=("gradient_peak",),
        ),
        Kind(
            name="early_warning",
            title="Early warning",
            question="Does a detector, such as a spike of the gradient norm's second difference, "
            "warn before generalisation?",
            figures=(
                "detection_curves",
                "specification_curves",
                "outcomes",
                "gai_trace",
                "alarm_leads",
                "rank_at_onset",
            ),
            has_variants=True,
            claim_sets=("GAI",),
            needs=("gai", "events"),
        ),
        Kind(
            name="phase_diagram",
            title="Phase diagram",
            question="Which of four phases does a run end in, over what the grid varies?",
            figures=("phase_diagram", "delay_map", "example_curves", "effects"),
            main_figure="phase_diagram",
            claim_sets=("PD",),
            needs=("phases",),
        ),
    )
}
