"""The Boosted Random Forest of the paper (Appendix A.1), by XGBoost."""

from __future__ import annotations

from segad_plugins.final_classifiers.forest import Forest, Rate, Rounds, Share, Trees


class BoostedRandomForest(Forest):
    """Boosted Random Forest: 10 rounds of 200 parallel trees (paper Appendix A.1).

    The paper's final classifier in all experiments. `Forest` explains the margins and the settings that the
    paper does not give.
    """

    name = "brf"

    class Params(Forest.Params):
        """XGBoost's parameters by its own names."""

        n_estimators: Rounds = 10
        num_parallel_tree: Trees = 200
        learning_rate: Rate = 0.3
        colsample_bytree: Share = 0.6

    params: Params
