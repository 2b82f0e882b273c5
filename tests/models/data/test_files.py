"""Images in single files: CelebA, Yale B and any folder."""

import os

import numpy as np
import pytest
from PIL import Image

from dindic_models.data import open_data, rows
from dindic_models.data._files import natural, opened


def all_of(data):
    return data.images[np.arange(len(data))]


@pytest.mark.parametrize(
    ("images", "lists", "given"),
    [
        ("img_align_celeba", "", ""),
        ("img_align_celeba", "", "img_align_celeba"),
        ("Img/img_align_celeba", "Eval", ""),
        ("img_align_celeba/img_align_celeba", "", ""),
        ("celeba/img_align_celeba", "celeba", ""),
    ],
)
def test_celeba_is_cut_to_the_centre_and_has_official_parts(tmp_path, write, images, lists, given):
    write["celeba"](tmp_path, images=images, lists=lists)
    data = open_data(tmp_path / given)
    assert data.name == "celeba"
    assert (data.images.shape, data.images.dtype) == ((4, 3, 64, 64), np.uint8)
    parts = {part: rows(data, part, split="official").tolist() for part in data.official}
    assert parts == {"train": [0], "validation": [1], "test": [2, 3]}
    y = (np.arange(64) + 0.5) * 148 / 64 - 0.5
    for k, image in enumerate(all_of(data).astype(float)):
        np.testing.assert_allclose(image[0, :, 32], 60 + (y + 35) / 2, atol=2.5)
        np.testing.assert_allclose(image[1, 32], 60 + (y + 15) / 2, atol=2.5)
        np.testing.assert_allclose(image[2], 20 * k, atol=2.5)
    assert "CelebA, 4 images of 3x64x64 (the central 148x148 pixels, resized)" in data.source


def test_celeba_in_another_size(tmp_path, write):
    data = open_data(write["celeba"](tmp_path), size=(148, 148))
    with Image.open(tmp_path / "img_align_celeba" / "000002.jpg") as image:
        whole = np.asarray(image)
    expected = whole[35:-35, 15:-15].transpose(2, 0, 1)
    np.testing.assert_array_equal(data.images[np.array([1])][0], expected)


@pytest.mark.parametrize("comma", [False, True])
def test_celeba_attributes(tmp_path, write, comma):
    write["celeba"](tmp_path)
    names = [f"{k + 1:06}.jpg" for k in range(4)]
    write["attributes"](tmp_path, names, comma=comma)
    data = open_data(tmp_path)
    assert data.factor_names == ("Bald", "Smiling")
    assert data.factors.tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert "2 attributes" in data.source
    write["attributes"](tmp_path, names[::-1], comma=comma)
    with pytest.raises(ValueError, match="list_attr_celeba.*does not list the images"):
        open_data(tmp_path)


@pytest.mark.parametrize("value", ["0", "x", "", "300", "0.5"])
def test_celeba_attributes_are_minus_one_or_one(tmp_path, write, value):
    write["celeba"](tmp_path, n=1)
    path = tmp_path / "list_attr_celeba.txt"
    path.write_text(f"1\nBald Smiling\n000001.jpg 1 {value}\n")
    with pytest.raises(ValueError, match="list_attr_celeba.txt: "):
        open_data(tmp_path)


def test_celeba_list_with_commas(tmp_path, write):
    write["celeba"](tmp_path, n=2)
    (tmp_path / "list_eval_partition.txt").unlink()
    text = "image_id,partition\n000001.jpg,2\n000002.jpg,0\n"
    (tmp_path / "list_eval_partition.csv").write_text(text)
    assert open_data(tmp_path).official["test"].tolist() == [0]


@pytest.mark.parametrize("line", ["000001.jpg", "000001.jpg 3", "000001.jpg 0 1", "000001.jpg 01"])
def test_celeba_line_that_cannot_be_read(tmp_path, write, line):
    write["celeba"](tmp_path, n=1)
    (tmp_path / "list_eval_partition.txt").write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=r"list_eval_partition.txt: line 2 must be .*000001"):
        open_data(tmp_path)


def test_celeba_with_a_part_missing(tmp_path, write):
    write["celeba"](tmp_path)
    (tmp_path / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000003.jpg is missing, with 0 more of 4"):
        open_data(tmp_path)
    partition = tmp_path / "list_eval_partition.txt"
    partition.write_text("")
    with pytest.raises(ValueError, match=r"list_eval_partition.txt: the list is empty"):
        open_data(tmp_path)
    partition.unlink()
    with pytest.raises(FileNotFoundError, match=r"no list_eval_partition.txt. .*https://.*folder"):
        open_data(tmp_path)
    assert open_data(tmp_path, dataset="folder").images.shape == (3, 3, 218, 178)
    partition.write_text("000001.jpg 0\n")
    (tmp_path / "img_align_celeba").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"there is no img_align_celeba. .*https://"):
        open_data(tmp_path)


def test_celeba_of_another_size_is_not_celeba(tmp_path, write):
    write["celeba"](tmp_path, n=2)
    path = tmp_path / "img_align_celeba" / "000002.jpg"
    Image.new("RGB", (178, 178)).save(path)
    with pytest.raises(ValueError, match=r"000002.jpg: .* 178x178 pixels, not 218x178"):
        all_of(open_data(tmp_path))


@pytest.mark.parametrize("n", [2, 40])
def test_damaged_image_is_named_when_it_is_read(tmp_path, write, n):
    data = open_data(write["celeba"](tmp_path, n=n))
    path = tmp_path / "img_align_celeba" / "000002.jpg"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match="cannot be read") as caught:
        all_of(data)
    assert str(caught.value).startswith(str(path))
    np.testing.assert_equal(data.images[np.array([0])].shape, (1, 3, 64, 64))


def test_yale_leaves_out_ambient_light_and_what_is_no_image(tmp_path, write):
    write["yale"](tmp_path)
    subject = tmp_path / "yaleB11"
    (subject / "yaleB11_P00A+060E-20.pgm.bad").write_bytes(b"damaged")
    (subject / "yaleB11_P00.info").write_text("yaleB11_P00A+000E+00.pgm\n")
    (tmp_path / "readme").write_text("")
    data = open_data(tmp_path)
    assert data.name == "yale"
    assert (data.images.shape, data.images.dtype) == ((9, 1, 192, 168), np.uint8)
    assert data.labels.tolist() == [1, 1, 1, 2, 2, 2, 11, 11, 11]
    np.testing.assert_array_equal(all_of(data)[:, 0, 100, 100], data.labels)
    assert data.factor_names == ("azimuth", "elevation")
    lights = {(0, 0), (-110, 40), (5, -10)}
    assert {tuple(light) for light in data.factors[:3].tolist()} == lights
    named = dict(zip(data.images.names, data.factors.tolist(), strict=True))
    assert named["yaleB02/yaleB02_P00A-110E+40.pgm"] == [-110, 40]
    assert "Extended Yale B, cropped, 9 images of 1x192x168, 3 subjects, from" in data.source
    assert data.ratio == (0.8, 0.1, 0.1)
    assert not data.official


def test_yale_one_folder_up_and_resized(tmp_path, write):
    write["yale"](tmp_path / "CroppedYale")
    data = open_data(tmp_path, size=(96, 84))
    assert all_of(data).shape == (9, 1, 96, 84)


def test_yale_with_names_of_its_own_has_no_lights(tmp_path, write):
    data = open_data(write["yale"](tmp_path, lights=("first", "P00A+000E+00")))
    assert data.factors is None
    assert data.factor_names == ()
    assert data.labels.tolist() == [1, 1, 2, 2, 11, 11]


def test_yale_of_two_sizes_names_the_file(tmp_path, write):
    write["yale"](tmp_path)
    path = tmp_path / "yaleB02" / "yaleB02_P00A+000E+00.pgm"
    Image.new("L", (640, 480)).save(path)
    with pytest.raises(ValueError, match=r"yaleB02_P00A\+000E\+00.pgm: .*480x640.*192x168"):
        open_data(tmp_path)


@pytest.mark.parametrize("content", [b"", b"P5\n168 192\n255\n" + b"\0" * 100, b"P5\n168"])
def test_yale_damaged(tmp_path, write, content):
    write["yale"](tmp_path)
    path = tmp_path / "yaleB02" / "yaleB02_P00A+000E+00.pgm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"yaleB02_P00A\+000E\+00.pgm: the image cannot be read"):
        all_of(open_data(tmp_path))


def test_yale_changed_since_it_was_opened(tmp_path, write):
    data = open_data(write["yale"](tmp_path), size=8)
    Image.new("L", (640, 480)).save(tmp_path / "yaleB01" / "yaleB01_P00A+000E+00.pgm")
    with pytest.raises(ValueError, match="480x640 pixels, not 192x168"):
        all_of(data)


def test_yale_without_a_light(tmp_path, write):
    write["yale"](tmp_path, lights=("P00_Ambient",))
    with pytest.raises(FileNotFoundError, match="ambient light alone"):
        open_data(tmp_path)
    with pytest.raises(FileNotFoundError, match="no tree of Extended Yale B.*http://.*unpack"):
        open_data(tmp_path / "yaleB01", dataset="yale")


def test_folder_in_natural_order_with_labels(tmp_path, write):
    names = ("a/10.png", "a/9.png", "b2/x.bmp", "b10/x.pgm")
    data = open_data(write["folder"](tmp_path, names))
    assert data.name == "folder"
    assert data.images.shape == (4, 1, 5, 7)
    assert all_of(data)[:, 0, 0, 0].tolist() == [10, 0, 20, 30]
    assert data.labels.tolist() == [0, 0, 1, 2]
    words = "a folder of images, 4 images of 1x5x7, labels from 3 sub-folders"
    assert data.source == f"{words}, from {tmp_path}"


def test_folder_without_sub_folders_has_no_labels(tmp_path, write):
    write["folder"](tmp_path, ("2.png", ".hidden.png", "1.png", "sub/3.png"))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".cache").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / ".cache" / "thumb.png")
    data = open_data(tmp_path)
    assert all_of(data)[:, 0, 0, 0].tolist() == [20, 0, 30]
    assert data.labels is None


def test_folder_is_in_colour_when_one_image_is(tmp_path, write):
    write["folder"](tmp_path, ("0.png", "1.png"))
    assert open_data(tmp_path).images.shape == (2, 1, 5, 7)
    Image.new("RGBA", (7, 5), (10, 20, 30, 99)).save(tmp_path / "2.png")
    data = open_data(tmp_path)
    assert all_of(data)[:, :, 0, 0].tolist() == [[0, 0, 0], [10, 10, 10], [10, 20, 30]]


def test_folder_of_many_sizes_needs_one(tmp_path, write):
    write["folder"](tmp_path, ("0.png", "1.png"))
    Image.new("L", (50, 40), 200).save(tmp_path / "2.png")
    with pytest.raises(ValueError, match=r"2.png: .* 40x50 .* 0.png has 5x7; add size="):
        open_data(tmp_path)
    images = all_of(open_data(tmp_path, size=(4, 6)))
    assert images.shape == (3, 1, 4, 6)
    assert (images[2] == 200).all()


def test_folder_refuses_what_eight_bits_would_change(tmp_path, write):
    write["folder"](tmp_path)
    deep = Image.fromarray(np.full((5, 7), 1000, np.uint16))
    deep.save(tmp_path / "b" / "2.png")
    with pytest.raises(ValueError, match=r"b/2.png: .* more than 8 bits"):
        open_data(tmp_path)
    frames = [Image.new("L", (7, 5), value) for value in (0, 99)]
    frames[0].save(tmp_path / "b" / "2.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"b/2.png: .* several frames"):
        open_data(tmp_path)


def test_folder_with_a_damaged_head(tmp_path, write):
    write["folder"](tmp_path)
    (tmp_path / "a" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a/2.png: the image cannot be read"):
        open_data(tmp_path)


def test_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="there are no images. Give a folder"):
        open_data(tmp_path, dataset="folder")


def test_fingerprint_changes_with_names_and_sizes(tmp_path, write):
    first = open_data(write["folder"](tmp_path)).fingerprint
    assert open_data(tmp_path).fingerprint == first
    path = tmp_path / "a" / "2.png"
    path.write_bytes(path.read_bytes() + b"\0")
    longer = open_data(tmp_path).fingerprint
    path.rename(tmp_path / "a" / "3.png")
    assert len({first, longer, open_data(tmp_path).fingerprint}) == 3


def test_many_files_keep_their_order_in_threads(tmp_path, write):
    data = open_data(write["folder"](tmp_path, [f"{k}.png" for k in range(25)]))
    backwards = np.arange(24, -1, -1)
    assert data.images[backwards][:, 0, 0, 0].tolist() == (10 * backwards).tolist()


@pytest.mark.parametrize(
    "names",
    [["a2", "a10"], ["a2b", "a10a"], ["2", "10", "a"], ["a/2", "a/10", "a1/1"], ["01", "1", "2"]],
)
def test_natural_order(names):
    assert sorted(set(names), key=natural) == names


def test_an_image_that_pillow_reads_by_another_program_is_refused(tmp_path):
    """EPS, under the name of a PNG: Pillow would start Ghostscript to read it."""
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n")
    with pytest.raises(ValueError, match=r"cannot be read .cannot identify"), opened(path):
        raise AssertionError("it was opened")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here: NOT tested")
def test_a_pipe_among_images_is_refused_and_not_waited_for(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png: the image cannot be read \(it is a pipe"):
        open_data(tmp_path)
