"""The Boosted Trees of the paper's ablation (Table 6, Appendix A.1), by XGBoost."""

from __future__ import annotations

from segad_plugins.final_classifiers.forest import Forest, Rate, Rounds, Share, Trees


class BoostedTrees(Forest):
    """Boosted Trees: 2000 rounds of one tree (paper Appendix A.1, for Table 6).

    `colsample_bytree` is XGBoost's default, 1, as in the paper. Settings that the paper does not give, such
    as the learning rate, are those of `brf`.
    """

    name = "bt"

    class Params(Forest.Params):
        """XGBoost's parameters by its own names."""

        n_estimators: Rounds = 2000
        num_parallel_tree: Trees = 1
        learning_rate: Rate = 0.3
        colsample_bytree: Share = 1.0

    params: Params
