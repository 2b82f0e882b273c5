"""Small data sets, written in the official layouts."""

import gzip
import struct

import numpy as np
from PIL import Image

LIGHTS = ("P00A+000E+00", "P00A-110E+40", "P00A+005E-10", "P00_Ambient")


def write_idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder, dot="-", end=".gz", parts=(("train", 6), ("t10k", 4))):
    """Image i is filled with i, and its label is i % 10, over both parts."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for prefix, n in parts:
        values = np.arange(start, start + n, dtype=np.uint8)
        images = np.broadcast_to(values[:, None, None], (n, 28, 28))
        write_idx(folder / f"{prefix}-images{dot}idx3-ubyte{end}", images)
        write_idx(folder / f"{prefix}-labels{dot}idx1-ubyte{end}", values % 10)
        start += n
    return folder


def write_dsprites(folder, n=12, name="dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {
        "imgs": rng.integers(0, 2, (n, 64, 64), np.uint8),
        "latents_classes": np.arange(6 * n).reshape(n, 6) % 3,
        "latents_values": np.zeros((n, 6)),
        "metadata": np.array({"title": "dSprites"}, dtype=object),
    }
    np.savez_compressed(folder / name, **arrays | changes)
    return folder / name


def face(k, height=218, width=178):
    """A smooth image, which a JPEG keeps: red grows downwards, green to the right, blue with k."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([60 + y * 0.5, 60 + x * 0.5, np.full_like(x, 20 * k)], axis=-1)
    return Image.fromarray(image.astype(np.uint8))


def write_celeba(folder, n=4, images="img_align_celeba", lists=""):
    place = folder / images
    place.mkdir(parents=True)
    names = [f"{k + 1:06}.jpg" for k in range(n)]
    for k, name in enumerate(names):
        face(k).save(place / name, quality=95)
    lines = [f"{name} {min(k, 2)}\n" for k, name in enumerate(names)]
    (folder / lists).mkdir(exist_ok=True)
    (folder / lists / "list_eval_partition.txt").write_text("".join(lines))
    return folder


def write_attributes(folder, names, comma=False):
    titles, gap = ["Bald", "Smiling"], "," if comma else "  "
    rows = [[name, str((-1) ** k), "1"] for k, name in enumerate(names)]
    head = [["image_id", *titles]] if comma else [[str(len(names))], titles]
    text = "\n".join(gap.join(row) for row in [*head, *rows])
    (folder / f"list_attr_celeba.{'csv' if comma else 'txt'}").write_text(text + "\n")


def write_yale(folder, subjects=(1, 2, 11), lights=LIGHTS, size=(192, 168)):
    """Every image is filled with its subject's number."""
    for subject in subjects:
        place = folder / f"yaleB{subject:02}"
        place.mkdir(parents=True)
        for light in lights:
            image = Image.fromarray(np.full(size, subject, np.uint8))
            image.save(place / f"yaleB{subject:02}_{light}.pgm")
    return folder


def write_folder(folder, names=("a/2.png", "a/10.png", "b/1.png"), mode="L", size=(5, 7)):
    """Image k is filled with 10 k."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size[::-1], 10 * k if mode == "L" else (10 * k,) * 3).save(folder / name)
    return folder


def write_array(folder, shape=(6, 8, 9)):
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(folder / "images.npy", values)
    return folder / "images.npy"


WRITERS = {
    "mnist": write_mnist,
    "dsprites": write_dsprites,
    "celeba": write_celeba,
    "yale": write_yale,
    "folder": write_folder,
    "array": write_array,
}
