"""The user's model cache, in the cache directory."""

from tickwork.core.errors import HostError
from tickwork.guest.cache import cache_dir, cache_is_temporary
from tickwork.inference.cache import ModelCache


def model_cache() -> ModelCache:
    """Return the cache at `models/` in the cache directory; `HostError` where that cannot be kept."""
    root = cache_dir()
    if cache_is_temporary():
        raise HostError(
            "there is no folder to keep models in; set XDG_CACHE_HOME to a folder that can be written to"
        )
    return ModelCache(root / "models")
