from hypothesis import given
from hypothesis.strategies import binary, integers
from kafka.partitioner.default import murmur2

from framebus.bus.kafka.murmur2 import partition_of


@given(key=binary(max_size=40), partitions=integers(1, 1000))
def test_a_key_lands_where_a_stock_client_puts_it(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions
