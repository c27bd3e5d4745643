"""Notes for the reader of results: each sentence once, in the log now and in the table later."""

from __future__ import annotations

import logging

log = logging.getLogger("segad.prepare")


class Notes:
    """Sentences that a reader of the results should know, without repeats."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def warn(self, sentence: str) -> None:
        """Notes something that may be unexpected."""
        self._note(sentence, logging.WARNING)

    def tell(self, sentence: str) -> None:
        """Notes something that is good to know."""
        self._note(sentence, logging.INFO)

    def _note(self, sentence: str, level: int) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)
            log.log(level, "%s", sentence)
