"""How far can the maps be trusted?"""

from monitoring.dashboards.form import METHOD, Dashboard, Panel, Query
from monitoring.dashboards.promql import distribution, mean, rate

_RATIO = "camserve_faithfulness_ratio"
_INSERTION = f'{METHOD},figure="insertion_auc"'
_FIGURES = (
    (5, "insertion_auc", "Insertion AUC", "Higher is better."),
    (6, "deletion_auc", "Deletion AUC", "Lower is better."),
    (7, "average_drop", "Average drop", "What the probability loses behind the map; lower is better."),
    (8, "average_gain", "Average gain", "What the probability wins behind the map; higher is better."),
    (9, "unseen_share", "On what the model cannot see", "Lower is better; 0 for maps of the last layer's own grid."),
)

MAPS = Dashboard(
    "camserve-maps",
    "camserve: quality of maps",
    [
        Panel(
            1,
            "Maps",
            [Query(f"sum by (model, method) (camserve:maps:rate5m{{{METHOD}}})", "{{model}} {{method}}")],
            "ops",
            stacked=True,
        ),
        Panel(
            2,
            "Share of defective maps",
            [
                Query(
                    f"max by (model, method) (camserve:defective_maps:ratio_rate30m{{{METHOD}}})",
                    "{{model}} {{method}}",
                )
            ],
            "percentunit",
            "Flat, all negative, or not finite, in 30 minutes.",
            limit=0.05,
        ),
        Panel(3, "Warnings", [Query(rate("camserve_map_warnings_total", METHOD, "warning"), "{{warning}}")], "ops"),
        Panel(
            4,
            "Faithfulness, 1 h",
            [
                Query(
                    f"max by (model, method) (camserve:faithfulness:mean_1h{{{_INSERTION}}})",
                    "{{model}} {{method}}",
                ),
                Query(
                    f"max by (model, method) (camserve:faithfulness:mean_1d{{{_INSERTION}}})",
                    "{{model}} {{method}}, 1 d",
                ),
            ],
            "percentunit",
            "Mean insertion AUC of the maps that were measured, beside that of the last day.",
            top=1,
        ),
        *(
            Panel(
                number,
                title,
                [Query(mean(_RATIO, f'{METHOD},figure="{figure}"', "model, method"), "{{model}} {{method}}")],
                "percentunit",
                f"Mean of the maps that were measured. {text}",
                top=1,
            )
            for number, figure, title, text in _FIGURES
        ),
        Panel(
            10,
            "Insertion AUC, all maps",
            [Query(distribution(_RATIO, _INSERTION), "{{le}}")],
            "percentunit",
            kind="heatmap",
            width=16,
        ),
        Panel(
            11,
            "Maps that were measured",
            [Query(rate(f"{_RATIO}_count", _INSERTION, "model, method"), "{{model}} {{method}}")],
            "ops",
            "Measuring is asked for by callers: 33 forwards for each map.",
        ),
    ],
)
