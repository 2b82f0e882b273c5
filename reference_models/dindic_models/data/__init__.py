"""Images to train on and to encode: MNIST, sprites, dSprites, CelebA, Yale B, folders, arrays."""

from dindic_models.data._data import Data, Images, to_unit
from dindic_models.data._open import DATASETS, open_data
from dindic_models.data._resize import Resized
from dindic_models.data._split import rows, some, split
from dindic_models.data.sprites import Sprites, render

__all__ = [
    "DATASETS",
    "Data",
    "Images",
    "Resized",
    "Sprites",
    "open_data",
    "render",
    "rows",
    "some",
    "split",
    "to_unit",
]
