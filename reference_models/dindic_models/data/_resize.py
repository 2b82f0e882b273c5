"""Images resized when they are asked for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Images, Index


class Resized:
    """Images brought to another size by Pillow's bilinear filter, on uint8, one by one.

    The filter averages when it shrinks. It works in integers: models that were trained on its
    output see other means (by 5e-3 on MNIST) after an interpolation in floats.

    Parameters
    ----------
    images : Images, shape (n, C, H, W)
        Of uint8.
    size : (int, int)
        The new height and width.

    Raises
    ------
    ValueError
        If the images are floats.

    Examples
    --------
    >>> import numpy as np
    >>> from dindic_models.data import Resized
    >>> images = Resized(np.full((5, 1, 28, 28), 7, np.uint8), (32, 32))
    >>> images.shape, int(images[np.array([3])].min())
    ((5, 1, 32, 32), 7)
    """

    def __init__(self, images: Images, size: tuple[int, int]) -> None:
        if images.dtype != np.uint8:
            raise ValueError(
                f"only images of uint8 are resized, these are {images.dtype}: save them as uint8"
            )
        self.images, self.size = images, size
        self.shape = (*images.shape[:2], *size)
        self.dtype = images.dtype

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Read these images and resize them."""
        from PIL import Image

        images = np.ascontiguousarray(self.images[index])
        out = np.empty((*images.shape[:2], *self.size), np.uint8)
        for plane, new in zip(
            images.reshape(-1, *images.shape[2:]), out.reshape(-1, *self.size), strict=True
        ):
            new[:] = Image.fromarray(plane).resize(self.size[::-1], Image.Resampling.BILINEAR)
        return out


def resized(images: Images, size: tuple[int, int] | None) -> Images:
    """Return the images in this size (height, width), themselves if it is theirs or None."""
    return images if size in (None, images.shape[2:]) else Resized(images, size)
