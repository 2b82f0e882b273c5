"""The style: one look a state, told apart without colours and with colour blindness."""

import inspect
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import dindic_models
import disentangle_indicators
from disentangle_indicators import plots, states
from disentangle_indicators.plots import _style
from disentangle_indicators.plots._style import FOUND, STATES, VERDICTS

LMS = {
    "normal": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]],
    "deuteranopia": [
        [0.3673, 0.8606, -0.228],
        [0.2801, 0.6725, 0.0474],
        [-0.0118, 0.0429, 0.9689],
    ],
}
"""Machado, Oliveira and Fernandes (2009), of linear RGB, for missing cones."""

XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

GROUPS = {
    "states": {look.colour for look in list(STATES.values())[:5]},
    "activity": {STATES["active"].colour, STATES["inactive"].colour},
    "verdicts": set(VERDICTS.values()),
    "found": {look.colour for look in FOUND.values()},
}


def lab(colour, eyes):
    """CIE L*a*b* of a colour under D65, as those eyes see it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(LMS[eyes]) @ linear, 0, 1)
    x, y, z = np.cbrt(XYZ @ seen / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_state_has_a_look():
    assert set(STATES) == {*states.STATES, "active", "inactive"}
    used, unused = states.STATES[1], states.STATES[-1]
    assert (STATES["active"], STATES["inactive"]) == (STATES[used], STATES[unused])


@pytest.mark.parametrize("eyes", LMS)
@pytest.mark.parametrize("group", GROUPS)
def test_colours_are_told_apart_with_colour_blindness(group, eyes):
    for one, other in combinations(GROUPS[group], 2):
        assert np.linalg.norm(lab(one, eyes) - lab(other, eyes)) > 20


def test_marks_are_told_apart_without_colours():
    assert len({STATES[state].mark for state in states.STATES}) == len(states.STATES)
    assert len({look.mark for look in FOUND.values()}) == len(FOUND)


def test_colours_are_defined_once():
    """In the style, and nowhere else in the library and the models."""
    packages = [Path(package.__path__[0]) for package in (disentangle_indicators, dindic_models)]
    found = {
        path.resolve()
        for package in packages
        for path in package.rglob("*.py")
        if re.search(r"[\"']#[0-9a-fA-F]{6}[\"']", path.read_text(encoding="utf-8"))
    }
    assert found == {Path(_style.__file__).resolve()}


@pytest.mark.parametrize("name", plots.PLOTS)
def test_every_plot_takes_a_result_and_an_axes_or_none(name):
    assert plots.PLOTS[name] is getattr(plots, name)
    result, ax, *others = inspect.signature(plots.PLOTS[name]).parameters.values()
    assert result.default is inspect.Parameter.empty
    assert (ax.name, ax.default) == ("ax", None)
    assert all(other.default is not inspect.Parameter.empty for other in others)


def test_public_names():
    assert {*plots.PLOTS, "PLOTS", "draw", "pulses", "save"} == set(plots.__all__)
