"""Small data sets in the official layouts, written where a test asks."""

import pytest
from layouts import WRITERS, write_attributes, write_idx


@pytest.fixture(scope="session")
def write():
    """The writers of the layouts, by the name of the data set, and those of their parts."""
    return WRITERS | {"idx": write_idx, "attributes": write_attributes}
