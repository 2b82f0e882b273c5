"""dindic traverse, through real files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

torch = pytest.importorskip("torch", reason="torch is not installed: NO model is tested")

from dindic_models import checkpoint, pictures
from dindic_models.config import Config, make_model
from dindic_models.data import open_data, rows

SHAPE, N = (1, 12, 12), 60
WORDS = ("--device", "cpu")
FEW = ("--top", "1", "--steps", "2")


def store(folder, data="images.npy", shape=SHAPE, **settings):
    """A run whose latents carry information in the order 2, 0, 1, and 3 carries none."""
    values = {"dataset": "array", "network": "linear", "latents": 4} | settings
    config = Config(**values)
    model = make_model(config, shape)
    with torch.no_grad():
        if config.network == "linear":
            model.encoder.mean.weight.mul_(torch.tensor([[6.0], [3.0], [12.0], [0.0]]))
            model.encoder.logvar.copy_(torch.tensor([-4.0, -4.0, -4.0, 0.0]))
    folder.mkdir()
    opened = open_data(data)
    about = {"name": opened.name, "fingerprint": opened.fingerprint, "path": data}
    checkpoint.save_config(folder, config, shape, about)
    checkpoint.save_model(folder, model)
    return folder.name


@pytest.fixture
def images(folder):
    """An array of images in the current folder."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (N, 1, 4, 4), np.uint8)
    np.save("images.npy", coarse.repeat(3, 2).repeat(3, 3))
    return "images.npy"


@pytest.fixture
def run(folder, images):
    return store(folder / "b10")


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn: the arguments of the functions that draw."""
    seen = {}
    for name in ("draw_grid", "draw_one_shot", "draw_reconstructions"):
        original = getattr(pictures, name)

        def spy(*arguments, original=original, name=name, **options):
            seen.update(options, name=name, arguments=arguments)
            return original(*arguments, **options)

        monkeypatch.setattr(pictures, name, spy)
    return seen


def test_a_grid_of_the_used_latents_the_most_informative_first(dindic, run, drawn):
    result = dindic("traverse", run, "-o", "a.png", *WORDS)
    images, reconstructed, sweeps, titles = drawn["arguments"]
    assert [title.split("  ")[0] for title in titles] == ["latent 2", "latent 0", "latent 1"]
    assert sweeps.shape == (5, 3, 9, *SHAPE)
    assert images.shape == reconstructed.shape == (5, *SHAPE)
    words = "3 of 4 latents carry more than 0.5 nats. I is I(x; z_h), exact for 6 posteriors"
    assert result.stdout == f"{words}\n"
    rows = "Numbers at the left are rows of the data, from 0."
    assert drawn["heading"] == f"b10, array: {words}. {rows}"
    assert "part 'test' of the model's split, 6 of 60 images" in result.stderr
    assert result.stderr.endswith("written: a.png\n")
    assert imread("a.png").std() > 0.01


def test_images_are_those_of_the_part(dindic, run, drawn):
    data = open_data("images.npy")
    for part in ("train", "validation", "test"):
        dindic("traverse", run, "-o", "a.png", "--split", part, "--images", 3, *FEW, *WORDS)
        shown = [int(name) for name in drawn["names"]]
        assert len(shown) == 3
        assert set(shown) <= set(rows(data, part))
        np.testing.assert_array_equal(drawn["arguments"][0], data.images[np.array(shown)])


def test_images_and_latents_can_be_chosen(dindic, run, drawn):
    words = ("--rows", "17,3", "--only", "3,1,2", "--steps", 4, "--span", -2, 1)
    result = dindic("traverse", run, "-o", "a.png", *words, *WORDS)
    assert drawn["names"] == ("17", "3")
    assert drawn["span"] == (-2, 1)
    _, _, sweeps, titles = drawn["arguments"]
    assert sweeps.shape[:3] == (2, 3, 4)
    assert [title.split("  ")[0] for title in titles] == ["latent 2", "latent 1", "latent 3"]
    assert "3 of 4 latents carry more than 0.5 nats; 1 of them is left out" in result.stdout
    dindic("traverse", run, "-o", "a.png", "--top", 1, *WORDS)
    assert len(drawn["arguments"][3]) == 1


def test_seeds_choose_the_images(dindic, run, drawn):
    shown = []
    for seed in (0, 0, 1):
        dindic("traverse", run, "-o", "a.png", "--split", "all", "--seed", seed, *FEW, *WORDS)
        shown.append(drawn["names"])
    assert shown[0] == shown[1] != shown[2]


def test_a_one_shot_traversal_passes_the_reconstruction(dindic, run, drawn):
    dindic("traverse", run, "-o", "a.png", "--kind", "one-shot", "--rows", 7, *WORDS)
    assert drawn["name"] == "draw_one_shot"
    assert "b10, array, image 7: 3 of 4" in drawn["heading"]
    image, reconstructed, sweep, titles = drawn["arguments"]
    assert (len(sweep), len(titles)) == (3, 3)
    np.testing.assert_array_equal(image, np.load("images.npy")[7])
    np.testing.assert_allclose(sweep[:, 4], np.stack([reconstructed] * 3), atol=1e-5)


@pytest.mark.parametrize("noise", ["fixed", "learned", "mog", "network"])
def test_reconstructions_show_the_noise(dindic, folder, images, drawn, noise):
    run = store(folder / "run", noise=noise, network="mlp")
    words = ("--kind", "reconstruction", "--images", 2)
    result = dindic("traverse", run, "-o", "a.png", *words, *WORDS)
    (found,) = drawn["arguments"]
    assert len(found.images) == 2
    assert (found.members is not None, found.deviations is not None) == (
        noise == "mog",
        noise == "network",
    )
    assert ("sigma^2 = " in result.stdout) == (noise in ("fixed", "learned"))
    assert imread("a.png").std() > 0.01


def test_information_can_come_from_a_file(dindic, run, npz, drawn):
    rng = np.random.default_rng(0)
    width = np.array([0.9, 0.01, 0.2, 0.001])
    mean = rng.normal(size=(300, 4)) * np.sqrt(1 - width)
    file = npz("known.npz", mean=mean, var=np.tile(width, (300, 1)))
    result = dindic("traverse", run, "-o", "a.png", "--encodings", file, *WORDS)
    assert "exact for 300 posteriors" in result.stdout
    shown = [title.split("  ")[0] for title in drawn["arguments"][3]]
    assert shown == ["latent 3", "latent 1", "latent 2"]


def test_without_exact_information_there_is_definition_3(dindic, run, npz, drawn):
    mean = np.random.default_rng(0).normal(size=(50, 4))
    file = npz("known.npz", mean=mean, var=np.full((50, 4), 1e-40))
    result = dindic("traverse", run, "-o", "a.png", "--encodings", file, *WORDS)
    assert "I is Definition 3 of 50 posteriors, an upper bound (" in result.stdout
    assert all("I ≤ " in title for title in drawn["arguments"][3])


def test_quiet_says_nothing(dindic, run, folder):
    result = dindic("traverse", run, "-o", "a.svg", "--quiet", *WORDS)
    assert (result.stdout, result.stderr) == ("", "")
    assert (folder / "a.svg").read_text().startswith("<?xml")


def test_other_data_are_resized_and_said_to_be_others(dindic, run, folder):
    np.save("other.npy", np.random.default_rng(1).integers(0, 256, (40, 1, 20, 20), np.uint8))
    result = dindic("traverse", run, "-o", "a.png", "--data", "other.npy", *FEW, *WORDS)
    text = " ".join(result.stderr.split())
    assert "images are resized from 20x20 to the model's 12x12" in text
    assert "these are not the data the model was trained on" in text
    own = dindic("traverse", run, "-o", "a.png", "--data", "images.npy", *FEW, *WORDS)
    assert "not the data" not in own.stderr
    assert "resized" not in own.stderr


def test_weights_of_others(dindic, say, folder, drawn):
    model = make_model(Config(network="burgess", latents=3, noise="fixed"), (1, 32, 32))
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("noise")}
    torch.save(weights, "model.pt")
    np.save("images.npy", np.zeros((9, 1, 32, 32), np.uint8))
    words = ("traverse", "model.pt", "-o", "a.png", "--top", 2, *WORDS)
    assert "--network burgess" in say(*words)
    words = (*words, "--network", "burgess")
    assert "add --data PATH" in say(*words)
    words = (*words, "--data", "images.npy")
    result = dindic(*words)
    assert "array has no test part, so all 9 images" in result.stderr
    assert drawn["heading"].startswith("model.pt, array: 0 of 3 latents")
    assert "no official part 'test'" in say(*words, "--split", "test")
    strip = dindic(*words[:4], *words[6:], "--kind", "reconstruction")
    assert "sigma" not in strip.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "-o", "a.png"], "no such model: none"),
        (["b10"], "Missing option '-o'"),
        (["b10", "-o", "a.bmp"], "a.bmp: a picture ends in .png, .svg or .pdf"),
        (["b10", "-o", "a.png", "--only", "4"], "latents must be from 0 to 3; got 4"),
        (["b10", "-o", "a.png", "--only", "a"], "'a' is not whole numbers between commas"),
        (["b10", "-o", "a.png", "--only", "1", "--top", "1"], "--only or --top, not both"),
        (["b10", "-o", "a.png", "--rows", "60"], "must be from 0 to 59; got 60"),
        (["b10", "-o", "a.png", "--rows=-1"], "must be from 0 to 59; got -1"),
        (["b10", "-o", "a.png", "--rows", "1", "--images", "1"], "not both"),
        (["b10", "-o", "a.png", "--kind", "one-shot", "--rows", "1,2"], "one image; got 2"),
        (["b10", "-o", "a.png", "--kind", "one-shot", "--images", "3"], "one image; got 3"),
        (["b10", "-o", "a.png", "--kind", "reconstruction", "--top", "3"], "--top does not go"),
        (["b10", "-o", "a.png", "--span", "3", "-3"], "span must be two finite numbers"),
        (["b10", "-o", "a.png", "--span", "0", "inf"], "span must be two finite numbers"),
        (["b10", "-o", "a.png", "--steps", "1"], "--steps"),
        (["b10", "-o", "a.png", "--threshold", "9"], "no latent carries more than 9 nats"),
        (["b10", "-o", "a.png", "--split", "some"], "--split"),
        (["b10", "-o", "a.png", "--network", "burgess"], "this folder names its own"),
        (["b10", "-o", "a.png", "--data", "none.npy"], "none.npy"),
        (["b10", "-o", "a.png", "--dataset", "cats"], "cats"),
        (["b10", "-o", "a.png", "--encodings", "none.npz"], "none.npz"),
        (["b10", "-o", "a.png", "--encodings", "good.npz"], "good.npz has 3 latents"),
        (["b10", "-o", "a.png", "--encodings", "means.npz"], "needs the posterior variances"),
    ],
)
def test_bad_input_is_refused(say, run, npz, folder, words, message):
    npz("good.npz", mean=np.eye(3), var=np.full((3, 3), 0.5))
    npz("means.npz", mean=np.eye(4))
    before = sorted(path.name for path in folder.iterdir())
    assert message in say("traverse", *words, *WORDS)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_devices_that_are_not_here(say, run):
    assert "there is no device 'meat'" in say("traverse", run, "-o", "a.png", "--device", "meat")


def test_images_are_not_overwritten(say, folder):
    from PIL import Image

    (folder / "images").mkdir()
    for i in range(12):
        Image.fromarray(np.full((12, 12), 20 * i, np.uint8)).save(f"images/{i}.png")
    run = store(folder / "b10", "images", dataset="folder")
    for words in ((), ("--data", "images")):
        message = say("traverse", run, "-o", "images/3.png", *words, *WORDS)
        assert "images/3.png would overwrite an input" in message


def test_a_picture_may_be_written_again_and_beside_the_model(dindic, run):
    for _ in range(2):
        dindic("traverse", run, "-o", f"{run}/a.png", *FEW, *WORDS)


def test_data_that_have_gone(say, run, folder):
    (folder / "images.npy").unlink()
    message = say("traverse", run, "-o", "a.png", *WORDS)
    assert "images.npy, the training data of the model, is missing: add --data PATH" in message


def test_images_of_other_channels(say, run):
    np.save("colour.npy", np.zeros((20, 3, 12, 12), np.uint8))
    message = say("traverse", run, "-o", "a.png", "--data", "colour.npy", *WORDS)
    assert "the model takes images with 1 channel; array has 3" in message


def test_pictures_that_cannot_be_written(say, run):
    assert "cannot write" in say("traverse", run, "-o", "none/a.png", *WORDS, code=1)


def test_damaged_models_are_refused(say, run, folder):
    config = json.loads((folder / run / "config.json").read_text())
    config["config"]["latents"] = 5
    (folder / run / "config.json").write_text(json.dumps(config))
    assert "has the shape" in say("traverse", run, "-o", "a.png", *WORDS)


def test_what_only_the_decoder_can_show(dindic, run, drawn):
    found = dindic("traverse", run, "-o", "a.png", "--decoder", "--split", "all", *WORDS)
    _, gap, jacobian = found.stdout.splitlines()
    assert gap.startswith("The bound is ")
    assert "Pareto k is " in gap
    assert jacobian.startswith(
        "Columns of the decoder's Jacobian have a mean absolute cosine of 0."
    )
    assert "(3 latents, 50 points)" in jacobian
    again = dindic("traverse", run, "-o", "a.png", "--decoder", "--split", "all", *WORDS)
    assert again.stdout == found.stdout


def test_a_model_that_states_no_likelihood(dindic, say, images, folder):
    (folder / "my_model.py").write_text(
        "import torch\n"
        "def ready(path):\n"
        "    class Model:\n"
        "        def encode(self, x):\n"
        "            mean = x.flatten(1)[:, :100:40] * 4\n"
        "            return {'mean': mean, 'logvar': torch.full_like(mean, -4)}\n"
        "        def decode(self, z):\n"
        "            return z.repeat(1, 48).reshape(-1, 1, 12, 12).sigmoid()\n"
        "    return Model()\n"
    )
    (folder / "weights.bin").write_bytes(b"x")
    words = ["traverse", "weights.bin", "--encoder", "my_model:ready", "--data", images]
    words += ["-o", "a.png", "--decoder", *WORDS]
    text = dindic(*words).stdout
    assert "not known: the model states no likelihood. Add --noise bernoulli, or" in text
    assert "mean absolute cosine of 0.000" in text
    known = dindic(*words, "--noise", "gaussian:0.1").stdout
    assert "The bound is " in known
    assert "--noise must be bernoulli or gaussian:VAR" in say(*words, "--noise", "laplace")
    without = [word for word in words if word != "--decoder"]
    assert "--noise goes with --decoder" in say(*without, "--noise", "bernoulli")
    assert "--range none does not go with it" in say(*words, "--range", "none")


def test_the_page_of_a_report_has_a_traversal(dindic, say, run):
    dindic("encode", run, "-o", "x.npz", "--split", "all", "--quiet")
    words = ("score", "x.npz", "--html", "page.html", "--no-joint", "--quiet")
    dindic(*words)
    assert "<img" not in Path("page.html").read_text()
    dindic(*words, "--model", run)
    found = Path("page.html").read_text()
    (alt,) = re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,', found)
    assert alt.startswith("Traversal: 3 of 4 latents carry more than 0.5 nats")
    assert alt.endswith("Numbers at the left are rows of the data, from 0.")
    assert alt in re.findall(r"<figcaption>(.*?)</figcaption>", found, flags=re.DOTALL)
    dindic(*words, "--model", run, "--data", "images.npy")
    assert Path("page.html").read_text().count("<img") == 1
    Path("images.npy").rename("moved.npy")
    Path("page.html").unlink()
    assert "add --data PATH" in say(*words, "--model", run)
    assert not Path("page.html").exists()


def test_a_traversal_of_another_model_is_not_put_on_a_page(
    dindic, say, npz, run, folder, monkeypatch
):
    """The hash in the file names the model; of a file without one, images are encoded again."""
    store(folder / "other", seed=1)
    dindic("encode", run, "-o", "x.npz", "--split", "train", "--quiet")
    with np.load("x.npz") as file:
        npz("bare.npz", **{name: file[name] for name in ("mean", "logvar")})
    page = ("--html", "page.html", "--no-joint", "--quiet", "--model")
    assert "x.npz is of another model: its model has the hash" in say(
        "score", "x.npz", *page, "other"
    )
    dindic("score", "bare.npz", *page, run)
    shown = say("score", "bare.npz", *page, "other")
    assert "nothing shows that bare.npz is of this model" in shown
    assert "Give the images that were encoded as --data" in shown
    np.save("others.npy", np.zeros((20, *SHAPE), np.uint8))
    assert "nothing shows" in say("score", "bare.npz", *page, run, "--data", "others.npy")
    words = ("-o", "a.png", "--encodings", "x.npz", *WORDS)
    assert "x.npz is of another model" in say("traverse", "other", *words)


def test_what_is_no_model_of_a_page(say, npz, run):
    """Only dindic traverse has options that name the network of a file of weights."""
    npz("x.npz", mean=np.eye(4), var=np.full((4, 4), 0.5))
    torch.save({"a": torch.zeros(3)}, "model.pt")
    page = ("score", "x.npz", "--html", "page.html", "--no-joint", "--quiet", "--model")
    shown = say(*page, "model.pt")
    assert "as dindic traverse --network burgess" in shown
    assert "as dindic traverse --encoder package.module:factory" in shown
    assert "/dev/null is no file and no folder" in say(*page, "/dev/null")


def test_another_width_is_refused_before_images_are_looked_for(say, npz, run):
    npz("wide.npz", mean=np.eye(5), var=np.full((5, 5), 0.5))
    Path("images.npy").unlink()
    page = ("--html", "page.html", "--no-joint", "--quiet", "--model")
    assert "wide.npz has 5 latents; the model has 4" in say("score", "wide.npz", *page, run)
