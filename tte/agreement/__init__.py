"""Agreement: does the order of the scores match the order of the performance? With p-values, intervals and regret."""

from tte.agreement.bootstrap import BootstrapAgreement, bootstrap_agreement
from tte.agreement.pooled import PooledSignificance, pooled_significance
from tte.agreement.rank_agreement import RankAgreement, expected_regret, rank_agreement
from tte.agreement.resampling import BootstrapRanking, bootstrap_ranking

__all__ = [
    "BootstrapAgreement",
    "BootstrapRanking",
    "PooledSignificance",
    "RankAgreement",
    "bootstrap_agreement",
    "bootstrap_ranking",
    "expected_regret",
    "pooled_significance",
    "rank_agreement",
]
