"""Draw the picture of the README from the tracked records: `python workflow/overview.py`.

Reads `results/nuclei` and `results/volumes`; writes `book/_static/overview.png`.
"""

import io

import matplotlib.pyplot as plt

from companion.analysis import agreement, select
from companion.pages import plots
from companion.paths import project_root
from companion.study import open_study
from tte._atomic import atomic_write

STUDIES = {
    ("nuclei", "zero_shot"): ("No labels: run it as it is", "CTE-NHD, consistency under dropout", "median F1"),
    ("volumes", "fine_tune"): ("A few labels: fine-tune it", "CC-FV, from features of labelled voxels", "mean Dice"),
}


def main():
    """Write the picture; a panel per study, a colour and a fitted line per target."""
    plots.use_style()
    figure, grid = plt.subplots(1, len(STUDIES), figsize=(13, 5.6))
    for axes, ((name, kind), (title, score, performance)) in zip(grid, STUDIES.items(), strict=True):
        study = open_study(name)
        tables = {target: agreement.ranking_on(study, target) for target in select.targets(study, kind)}
        plots.all_targets(tables, score=score, performance=f"{performance} on the target", title=title, axes=axes)
        axes.legend(
            *axes.get_legend_handles_labels(),
            fontsize=9,
            ncols=3,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            frameon=False,
        )
    content = io.BytesIO()
    figure.savefig(content, dpi=110, metadata={"Software": None})
    atomic_write(project_root() / "book" / "_static" / "overview.png", content.getvalue())


if __name__ == "__main__":
    main()
