"""An empty bucket for Snakemake: enough for a dry run where a cluster has no shared folder."""

from collections.abc import Iterable
from typing import Any

from snakemake_interface_storage_plugins.io import IOCacheStorageInterface
from snakemake_interface_storage_plugins.storage_object import (
    StorageObjectGlob,
    StorageObjectRead,
    StorageObjectWrite,
)
from snakemake_interface_storage_plugins.storage_provider import (
    ExampleQuery,
    Operation,
    QueryType,
    StorageProviderBase,
    StorageQueryValidationResult,
)

PREFIX = "bucket://"


class StorageProvider(StorageProviderBase):
    @classmethod
    def example_queries(cls) -> list[ExampleQuery]:
        return [ExampleQuery(f"{PREFIX}a/file", QueryType.ANY, "a file")]

    def rate_limiter_key(self, query: str, operation: Operation) -> Any:
        return None

    def default_max_requests_per_second(self) -> float:
        return 100.0

    def use_rate_limiter(self) -> bool:
        return False

    @classmethod
    def is_valid_query(cls, query: str) -> StorageQueryValidationResult:
        return StorageQueryValidationResult(query, query.startswith(PREFIX), "bucket://…")


class StorageObject(StorageObjectRead, StorageObjectWrite, StorageObjectGlob):
    def __post_init__(self) -> None:
        pass

    async def inventory(self, cache: IOCacheStorageInterface) -> None:
        pass

    def get_inventory_parent(self) -> str | None:
        return None

    def local_suffix(self) -> str:
        return str(self.query).removeprefix(PREFIX)

    def cleanup(self) -> None:
        pass

    def exists(self) -> bool:
        return False

    def mtime(self) -> float:
        return 0.0

    def size(self) -> int:
        return 0

    def retrieve_object(self) -> None:
        raise NotImplementedError

    def store_object(self) -> None:
        raise NotImplementedError

    def remove(self) -> None:
        raise NotImplementedError

    def list_candidate_matches(self) -> Iterable[str]:
        return []
