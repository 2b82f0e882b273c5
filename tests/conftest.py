import builtins
import errno
import os
from contextlib import contextmanager

import pytest
from hypothesis import Phase, settings

# workers of pytest-xdist set the columns of the terminal, which tables are fitted to
os.environ.pop("COLUMNS", None)

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=25,
    print_blob=True,
    database=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
settings.register_profile("few", settings.get_profile("ci"), max_examples=5)
settings.register_profile("dev", deadline=None, max_examples=200, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", params=["numpy", "array_api_strict", "torch"])
def xp(request):
    """Each array namespace in turn; of one scope with the session so that @given may use it."""
    reason = f"{request.param} is not installed, so that its arrays are NOT tested"
    return pytest.importorskip(request.param, reason=reason)


@pytest.fixture
def denied(monkeypatch):
    """Take the right to read a file away for a while, from root as well."""

    @contextmanager
    def without_right(path):
        mode, opened = os.stat(path).st_mode, builtins.open

        def refuse(file, *args, **kwargs):
            if not isinstance(file, int) and os.fspath(file) == os.fspath(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(file))
            return opened(file, *args, **kwargs)

        os.chmod(path, 0)
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "open", refuse)
            try:
                yield
            finally:
                os.chmod(path, mode)

    return without_right
