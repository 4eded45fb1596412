"""A paragraph for the methods of a paper, with what it cites: what was ranked, how, and what it cannot say.

Takes a `Ranking`; returns text.
"""

from tte.estimators.registry import ESTIMATORS

__all__ = ["methods_paragraph", "references"]

_WHAT = {
    "zero-shot": "as they are, without labels of the target",
    "fine-tune": "by how well their features suit the labelled cases, before any fine-tuning",
    "masks": "from the masks that each tool produced, without access to the tools",
}
_HOW = {
    "consensus_instances": "the agreement of its objects with those of the models of other groups (AP50 at an IoU of "
    "0.5, every other group with the same weight, near-identical models counted once)",
    "consensus_pixels": "the agreement of its foreground with that of the models of other groups (F1)",
    "cte_nhd": "the normalised Hamming distance between its foreground before and after a perturbation (CTE-NHD)",
    "cte_ei": "the effective invariance of its probabilities under a perturbation (CTE-EI)",
    "cte_vrand": "the Rand score of its objects before and after a perturbation (CTE-V-Rand)",
    "mean_confidence": "its mean foreground probability",
    "soft_dice_confidence": "the soft Dice between its probabilities and its mask",
    "ccfv": "class consistency and feature variety of its features (CC-FV)",
    "relative_variety": "the variety of its foreground features relative to the rim around the foreground",
}
_INTERVALS = {
    "images": "images drawn with replacement",
    "cases": "a jackknife over the labelled cases and Student's t",
}
_CTE = (
    "J. Talks and A. Kreshuk. Ranking pre-trained segmentation models for zero-shot transferability. "
    "arXiv 2503.00450, 2025."
)
_CCFV = (
    "Y. Yang et al. Pick the best pre-trained model: towards transferability estimation for medical image "
    "segmentation. MICCAI 2023, arXiv 2307.11958."
)
_DAWID = (
    "A. P. Dawid and A. M. Skene. Maximum likelihood estimation of observer error-rates using the EM algorithm. "
    "Applied Statistics 28, 1979."
)
_BASE = {
    "consensus_instances": _DAWID,
    "consensus_pixels": _DAWID,
    "cte_nhd": _CTE,
    "cte_ei": _CTE,
    "cte_vrand": _CTE,
    "ccfv": _CCFV,
}


def methods_paragraph(ranking):
    """Return the paragraph.

    Parameters
    ----------
    ranking : Ranking
    """
    lead, _, variant = ranking.lead.name.partition(":")
    version = ranking.provenance.get("versions", {}).get("tte", "")
    n_images, n_models = ranking.per_image["image"].nunique(), len(ranking.table)
    sentences = [
        f"{n_models} models were ranked on {n_images} images {_WHAT[ranking.way]} "
        f"with tte{f' {version}' * bool(version)}.",
        f"Each model's score was {_HOW.get(lead, ranking.lead.words)}{f' ({variant})' * bool(variant)}, "
        f"{'with all cases together' if ranking.way == 'fine-tune' else 'the median over images'}.",
        f"95% intervals come from {_INTERVALS['cases' if ranking.way == 'fine-tune' else 'images']}, the same for all "
        "models; models whose difference has an interval that holds 0 were called too close to call.",
        f"The seed was {ranking.provenance.get('seed', 0)}.",
        "A score without labels is an estimate of the order of the models, not a measurement of their performance.",
    ]
    if ranking.way == "fine-tune":
        sentences[-1] = "The score estimates the order after fine-tuning; no model was fine-tuned."
    return " ".join(sentences)


def references(ranking):
    """Return what the scores in the table cite, each once."""
    bases = [name.partition(":")[0] for name in ranking.scores()]
    known = {base: ESTIMATORS[base].paper for base in bases if base in ESTIMATORS and base not in _BASE}
    cited = [_BASE.get(base) or known.get(base, "none") for base in bases]
    return [paper for paper in dict.fromkeys(cited) if not paper.startswith("none")]
