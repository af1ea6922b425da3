"""NetHack's terminal as a picture, in its colours."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COLOURS = (
    *((0, 0, 0), (205, 49, 49), (13, 188, 121), (181, 137, 0), (62, 120, 230), (188, 63, 188), (17, 168, 205)),
    *((229, 229, 229), (127, 127, 127), (255, 110, 90), (35, 209, 139), (245, 245, 67), (110, 160, 255)),
    *((230, 120, 230), (41, 220, 240), (255, 255, 255)),
)
"""Of a terminal by number: 8 is bright black, which NetHack uses for dark blue things and shows as dark grey."""
_BLACK_TEXT = (85, 85, 85)
_BACKGROUND = (18, 18, 18)
_SCALE = 2


def picture_of_terminal(
    characters: NDArray[np.uint8], colours: NDArray[np.int8], cursor: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Characters and colours [rows, columns], and the cursor's row and column, as a picture [height, width, 3]."""
    letters = _letters()
    height, width = letters.shape[1:]
    shown = letters[characters]  # [rows, columns, height, width]
    of_terminal = np.array((_BLACK_TEXT, *_COLOURS[1:]), dtype=np.uint8)
    ink = of_terminal[colours.astype(np.int16) & 15]
    picture = np.where(shown[..., None], ink[:, :, None, None, :], np.array(_BACKGROUND, dtype=np.uint8))
    row, column = int(cursor[0]), int(cursor[1])
    if row < characters.shape[0] and column < characters.shape[1]:
        picture[row, column, -2:] = 200
    rows, columns = characters.shape
    flat = picture.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    return np.ascontiguousarray(flat.repeat(_SCALE, 0).repeat(_SCALE, 1))


@cache
def _letters() -> NDArray[np.bool_]:
    """Each character of Latin-1 in Pillow's own fixed font, [256, height, width]."""
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default_imagefont()
    boxes = [font.getbbox(chr(code)) for code in range(33, 127)]
    width, height = (max(int(box[side]) for box in boxes) for side in (2, 3))
    found = np.zeros((256, height, width), dtype=np.bool_)
    for code in range(33, 256):
        image = Image.new("1", (width, height))
        ImageDraw.Draw(image).text((0, 0), chr(code), fill=1, font=font)
        found[code] = np.asarray(image)
    return found
