"""Which lane a tenant lives in: murmur2 of its name, as Kafka's default partitioner counts it."""

from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_CACHE_TENANTS_MAX: Final = 200_000

_cache: dict[tuple[bytes, int], int] = {}


def murmur2(data: bytes) -> int:
    """Hash as `org.apache.kafka.common.utils.Utils.murmur2` does (librdkafka's default differs)."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    rest = length - whole
    if rest:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def lane_of(tenant: bytes, lanes: int) -> int:
    """Return the tenant's lane. Remembered, for the hash in Python costs more than a decode."""
    found = _cache.get((tenant, lanes))
    if found is None:
        if len(_cache) >= _CACHE_TENANTS_MAX:
            _cache.clear()
        found = (murmur2(tenant) & 0x7FFFFFFF) % lanes
        _cache[tenant, lanes] = found
    return found
