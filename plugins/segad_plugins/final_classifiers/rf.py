"""The Random Forest of the paper's ablation (Table 6, Appendix A.1), by XGBoost."""

from __future__ import annotations

from segad_plugins.final_classifiers.forest import Forest, Rate, Rounds, Share, Trees


class RandomForest(Forest):
    """Random Forest: one round of 2000 parallel trees (paper Appendix A.1, for Table 6).

    The margin is the mean, over all trees, of the leaf that an image reaches. Settings that the paper does
    not give are those of `brf`.
    """

    name = "rf"

    class Params(Forest.Params):
        """XGBoost's parameters by its own names."""

        n_estimators: Rounds = 1
        num_parallel_tree: Trees = 2000
        learning_rate: Rate = 1.0
        colsample_bytree: Share = 0.6

    params: Params
