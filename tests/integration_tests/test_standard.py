"""LangChain's own suites for caches: in memory, in a folder, and with the default encoder."""

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_cachemux import LECCache

CHEAP = DeterministicFakeEmbedding(size=16)


@pytest.fixture(params=["memory", "folder", "default encoder"])
def empty(request, tmp_path):
    if request.param == "memory":
        made = LECCache(embeddings=CHEAP)
    elif request.param == "folder":
        made = LECCache(tmp_path / "cache", embeddings=CHEAP)
    else:
        made = LECCache()
    with made as cache:
        yield cache
        assert cache.stats().errors == 0
        assert cache.check() == []


class TestSync(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, empty):
        return empty


class TestAsync(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, empty):
        return empty
