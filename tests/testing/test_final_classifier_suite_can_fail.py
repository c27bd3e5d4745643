"""Each clause of what a final classifier owes fails for a plugin that violates it, and spares a sound one."""

import numpy as np
import pytest

from segad_core import contracts
from segad_core.errors import PluginError
from segad_core.testing import FinalClassifierSuite


class Final(contracts.FinalClassifier):
    """A step from the mean of the good to the mean of the bad."""

    step = None

    def fit(self, features, names, labels, run):
        good, bad = features[labels == 0], features[labels == 1]
        if not len(good) or not len(bad):
            raise PluginError("needs good and bad")
        self.step = self.changed(bad.mean(axis=0) - good.mean(axis=0), features)
        self.middle = -(self.step @ (bad.mean(axis=0) + good.mean(axis=0))) / 2

    def changed(self, step, features):
        return step

    def contributions(self, features):
        return np.column_stack([features * self.step, np.full(len(features), self.middle)])

    def margins(self, features):
        if self.step is None:
            raise PluginError("not fitted yet")
        return self.contributions(features).sum(axis=1)

    def state(self):
        if self.step is None:
            raise PluginError("not fitted yet")
        return {"step": np.append(self.step, self.middle)}

    def restore(self, state):
        *step, self.middle = state["step"]
        self.step = np.array(step)


def final(**methods):
    return type("Broken", (Final,), {"__doc__": "A classifier told wrongly.", **methods})


def squashed(self, features):
    return 1 / (1 + np.exp(-np.clip(Final.margins(self, features), -700, 700)))


def unseeded(self, step, features):
    return step * np.random.default_rng().uniform(1, 2)


def inverted(self, step, features):
    scatter = np.cov(features.T)
    if np.linalg.cond(scatter) > 1e12:
        raise np.linalg.LinAlgError("singular")
    return np.linalg.solve(scatter, step)


def ranked(self, features):
    return Final.margins(self, features) / np.abs(features).max()


def centred(self, features):
    features -= features.mean()
    return Final.margins(self, features)


def careless_fit(self, features, names, labels, run):
    Final.fit(self, np.vstack([features, features]), names, np.append(labels, 1 - labels), run)


def bare_list(self):
    return {"step": Final.state(self)["step"].tolist()}


SUM = "test_contributions_add_up_to_the_margins"
ROWS = "test_rows_do_not_depend_on_each_other"
EASY = "test_separates_an_easy_set"
EXACT = "test_state_restores_exactly"
FIT = "test_fit_is_deterministic"
UNFITTED = "test_use_before_fit_is_refused"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Final, ""),
        (final(margins=squashed), SUM),
        (
            final(margins=lambda self, f: Final.margins(self, f).astype(np.float32)),
            "test_margins_are_finite_float64 test_more_features_than_images_is_fine",
        ),
        (final(contributions=lambda self, f: Final.contributions(self, f)[:, :-1] + 1.0), SUM),
        (final(changed=lambda self, step, features: -step), EASY),
        (final(changed=unseeded), FIT),
        (final(changed=inverted), "test_more_features_than_images_is_fine"),
        (final(margins=ranked), f"{SUM} {ROWS}"),
        (final(margins=centred), f"test_leaves_the_features_as_they_are {SUM} {ROWS}"),
        (final(fit=careless_fit), f"test_one_class_alone_is_refused {EASY}"),
        (final(state=bare_list), EXACT),
        (
            final(restore=lambda self, state: Final.restore(self, {"step": np.zeros_like(state["step"])})),
            EXACT,
        ),
        (final(margins=lambda self, features: features @ self.step + self.middle), UNFITTED),
    ],
)
def test_final_classifier(check, plugin, expected):
    check(FinalClassifierSuite, plugin, expected)
