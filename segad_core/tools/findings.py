"""What is found in a data set: kinds of problems and notes, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass

HEADINGS = {
    "absent": "missing categories",
    "unlisted": "category cannot be listed",
    "counts": "image counts differ from the published ones",
    "ids": "duplicate ids",
    "unreadable": "unreadable images",
    "contradictions": "contradictory lists",
    "labels": "identical images with different labels",
    "leaks": "images in both training and test",
    "mask_absent": "missing masks",
    "mask_unreadable": "unreadable masks",
    "mask_size": "masks that differ in size from their images",
    "mask_empty": "bad images with an empty mask",
    "mask_good": "good images with a defect in their mask",
    "subsets": "invalid subsets of bad training images",
    "repeated": "duplicate images",
    "alike": "near-identical images",
    "unmasked": "bad images without a mask, although others have one",
    "shapes": "images of another shape than most",
    "views": "parts without all views",
    "unread": "images that are not read",
    "levels": "images of 16 bits",
    "window": "values that the window cuts off",
}
"""The kinds of findings, in the order of the report."""

NOTES = ("repeated", "alike", "unmasked", "shapes", "views", "unread", "levels", "window")
"""The kinds that are not problems."""


@dataclass(frozen=True)
class Finding:
    """A problem or a note.

    Attributes:
        kind: a key of `HEADINGS`.
        text: what and where.
        images: ids of the images concerned.
    """

    kind: str
    text: str
    images: tuple[str, ...] = ()

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem; otherwise it is a note."""
        return self.kind not in NOTES
