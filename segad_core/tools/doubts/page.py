"""Doubtful labels to go through: a page of pictures that needs nothing else, and a table."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from PIL import Image

from segad_core.base.clopper_pearson import FEW
from segad_core.base.csv_text import csv_text
from segad_core.base.decoding import Decoding
from segad_core.base.text import in_one_line, many
from segad_core.contracts.dataset import WORDS
from segad_core.errors import ImageError
from segad_core.images.pages import sample_at_full_size
from segad_core.tools.doubts.judge import Doubt, Judged

_SIDE = 360
_COLUMNS = ("category", "image", "label", "defect", "doubt", "contradicted", "seeds", "path")

_HEAD = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em; color: #222; background: #fff; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1.2em; }}
figure {{ margin: 0; padding: .6em; border: 1px solid #ccc; border-top: .35em solid #999; }}
figure.good {{ border-top-color: #1e823c; }}
figure.bad {{ border-top-color: #c81e28; }}
img {{ max-width: 100%; height: auto; display: block; margin: 0 auto .5em; }}
figcaption {{ overflow-wrap: anywhere; }}
small {{ color: #666; }}
p {{ max-width: 50em; }}
</style>
<h1>{title}</h1>
"""


@dataclass(frozen=True)
class About:
    """What the page says about its origin.

    Attributes:
        recipe, row: their names.
        most: how many images of a category are shown.
    """

    recipe: str
    row: str
    most: int


def doubts_csv(found: Sequence[Judged]) -> str:
    """All judged images of all categories, the greatest doubt first, as CSV."""
    lines = [
        (
            judged.category,
            one.sample.id,
            WORDS[one.sample.label],
            one.sample.defect,
            Decimal(f"{one.doubt:.4f}"),
            "yes" if one.contradicted else "no",
            one.seeds,
            str(one.sample.path),
        )
        for judged in found
        for one in judged.doubts
    ]
    return csv_text([_COLUMNS, *lines])


def doubts_page(found: Sequence[Judged], decoding: Decoding, about: About) -> str:
    """The most doubtful images as a page of HTML, with pictures in it and no scripts.

    Args:
        found: by category.
        decoding: how images are read.
        about: where it comes from.
    """
    parts = [
        _HEAD.format(title=f"Doubtful labels: {_text(about.recipe)}"),
        f"<p>Each image was scored by the row {_text(about.row)}, by models that have not seen it. Those "
        "whose label the scores contradict most come first. A doubt is not a proof: rare but good parts, and "
        "defects that are hard to see, look like wrong labels too. Nothing was changed. To correct a label, "
        "move the image or change the list; to keep an image out, use <code>split.leave_out</code> in the "
        "recipe.</p>\n",
    ]
    for judged in found:
        shown = [one for one in judged.doubts if one.doubt > 0][: about.most]
        parts.append(f"<h2>{_text(judged.category)}</h2>\n<p>{_text(in_words(judged))}</p>\n<main>\n")
        parts += [_figure(one, decoding) for one in shown]
        parts.append("</main>\n")
    return "".join([*parts, "</html>\n"])


def in_words(judged: Judged) -> str:
    """How many labels of a category are contradicted, and how many were not judged."""
    count, total = sum(one.contradicted for one in judged.doubts), len(judged.doubts)
    bad = sum(one.sample.label == 1 for one in judged.doubts)
    text = f"{count} of {many(total, 'label')} {'is' if count == 1 else 'are'} contradicted"
    if min(bad, total - bad) < FEW:
        compared = f"{total - bad} good and {bad} bad image{'s' * (bad != 1)}"
        text += f" (only {compared} were compared: chance contradicts some)"
    if left := len(judged.unjudged):
        text += (
            f"; {left} image{'s were' if left > 1 else ' was'} not judged, as detectors train on them: more "
            "seeds, or split.detectors.folds, judge them too"
        )
    return text


def _figure(one: Doubt, decoding: Decoding) -> str:
    label = WORDS[one.sample.label]
    defect = f", {_text(one.sample.defect)}" if one.sample.defect else ""
    return (
        f'<figure class="{label}"><img alt="" src="{_picture(one, decoding)}"><figcaption>'
        f"<b>{_text(one.sample.id)}</b>{defect}<br>{_text(str(one))}<br>"
        f"<small>{_text(str(one.sample.path))}</small></figcaption></figure>\n"
    )


def _picture(one: Doubt, decoding: Decoding) -> str:
    """A small JPEG within the page; empty if the image cannot be read any more."""
    try:
        with sample_at_full_size(one.sample, decoding) as decoded:
            image = Image.fromarray(decoded.pixels)
            image.thumbnail((_SIDE, _SIDE))
    except ImageError:
        return ""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _text(text: str) -> str:
    """Text in one printable line that HTML shows as it is."""
    return html.escape(in_one_line(text))
