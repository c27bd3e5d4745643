"""What is known of pixel values in files, where no file is read: options are made from it."""

from __future__ import annotations

from typing import Literal

WHITE = 65535
"""The highest value of 16 bits."""
MOST_PAGES = 1000

Bayer = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
"""The colours of the first two pixels of the first two rows of a camera's sensor."""
