"""Images: the one decoder, the sets that plugins iterate over, the inventory and the leakage audit.

Decodes, finds and remembers images; must not know about recipes, splits or training.
"""

from segad_core.images.alike import Pair, near_duplicates
from segad_core.images.arrays import read_array
from segad_core.images.decode import Decoded, at_full_size, decode, decode_resized, resize
from segad_core.images.folder import folder_samples, image_files
from segad_core.images.image_set import FileImageSet
from segad_core.images.inventory import Facts, Inventory, audit, check_labels, take_inventory
from segad_core.images.labels import read_labels, write_labels
from segad_core.images.masks import read_mask

__all__ = [
    "Decoded",
    "Facts",
    "FileImageSet",
    "Inventory",
    "Pair",
    "at_full_size",
    "audit",
    "check_labels",
    "decode",
    "decode_resized",
    "folder_samples",
    "image_files",
    "near_duplicates",
    "read_array",
    "read_labels",
    "read_mask",
    "resize",
    "take_inventory",
    "write_labels",
]
