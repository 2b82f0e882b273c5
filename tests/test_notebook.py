"""Results in a notebook: shown once, as HTML with a picture; text functions write text."""

import base64
import re
import struct

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is not installed: notebooks are NOT tested")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat")

SETUP = """
import logging, sys
import numpy as np
from disentangle_indicators import score, indicators
rng = np.random.default_rng(0)
width = np.array([0.05, 0.6, 1.0])
mean = rng.normal(size=(200, 3)) * np.sqrt(1 - width)
card = score(mean, var=np.broadcast_to(width, mean.shape), name="a model")
logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)
"""

CELLS = {
    "setup": SETUP,
    "last": "card",
    "indicators": "card.result",
    "q_star": "card.q_star",
    "length": "text = str(card); print(len(text))",
    "print": "print(card)",
    "repr": "print(repr(card) == str(card) == text)",
    "logging": "logging.warning('card: %s', card)",
    "list": "[card]",
    "plot": "card.plot()",
    "plot_pyplot": "import matplotlib.pyplot as plt\ncard.plot()",
    "lazy": "import disentangle_indicators as di\nlen(di.plots.PLOTS)",
}


@pytest.fixture(scope="module")
def cells():
    """The outputs of each cell, of one run in a real kernel."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in CELLS.values()]
    )
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True
    ).execute()
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("name", ["last", "indicators"])
def test_a_result_shows_once_as_html_with_its_picture(cells, name):
    (output,) = cells[name]
    assert output.output_type == "execute_result"
    page = output.data["text/html"]
    assert "3 latents" in page or "latent" in page
    (picture,) = re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"', page)
    assert min(png_size(base64.b64decode(picture))) > 300
    assert "I(x; z_h)" in output.data["text/plain"] or "information" in output.data["text/plain"]


def test_a_result_without_a_picture_shows_once_as_html(cells):
    (output,) = cells["q_star"]
    assert "<table" in output.data["text/html"]
    assert "<img" not in output.data["text/html"]


def test_str_is_the_table_and_displays_nothing(cells):
    (output,) = cells["length"]
    assert (output.output_type, output.name) == ("stream", "stdout")
    assert int(output.text) > 1000
    assert "".join(o.text for o in cells["repr"]) == "True\n"  # in one piece or two


@pytest.mark.parametrize(("name", "head"), [("print", "a model"), ("logging", "card: a model")])
def test_printing_writes_the_table_and_displays_nothing(cells, name, head):
    (output,) = cells[name]
    assert output.output_type == "stream"
    assert output.text.startswith(head)
    assert "USED" in output.text


def test_a_list_of_results_displays_nothing_on_the_side(cells):
    (output,) = cells["list"]
    assert output.output_type == "execute_result"
    assert output.data["text/plain"].startswith("[a model")


@pytest.mark.parametrize("name", ["plot", "plot_pyplot"])
def test_plot_shows_one_picture(cells, name):
    (output,) = cells[name]
    assert min(png_size(base64.b64decode(output.data["image/png"]))) > 300


def test_the_plots_are_reachable_from_the_package(cells):
    (output,) = cells["lazy"]
    assert int(output.data["text/plain"]) >= 4
