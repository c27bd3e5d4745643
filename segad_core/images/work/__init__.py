"""The work that an image file asks for, estimated before it is done.

A small file can ask for hours: scans that repeat, pages in a chain, tables of millions of entries. Each kind
is counted and bounded here; `metered` stops what nobody foresaw.
"""

from segad_core.images.work.check import check_exif, check_file, check_header
from segad_core.images.work.meter import metered
from segad_core.images.work.tiff import silence

__all__ = ["check_exif", "check_file", "check_header", "metered", "silence"]
