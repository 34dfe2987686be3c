"""Looking after topics on Kafka."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from framebus.bus import TopicSpec
from framebus.bus.kafka.client import Troubles, new_client, topic_metadata
from framebus.errors import BusRefusedError, TransportError
from framebus.settings import KafkaSettings

_REQUEST_TIMEOUT_S = 15.0


class KafkaAdmin:
    """Looks after topics; see `framebus.bus.BusAdmin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._troubles = Troubles(settings.bootstrap_servers)
        self._admin = self._new_client()

    def _new_client(self) -> AdminClient:
        return new_client(AdminClient, self._settings, {**self._settings.options, "error_cb": self._troubles})

    def partition_counts(self) -> dict[str, int]:
        """The topics there are, with their number of partitions."""
        try:
            topics = topic_metadata(self._admin, self._troubles).topics
        except TransportError:
            self._admin = self._new_client()  # this one may know no broker any more
            raise
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def create_topics(self, topics: Sequence[TopicSpec]) -> list[str]:
        """Creates those that are missing and returns their names."""
        existing = self.partition_counts()
        wanted = [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, config=dict(topic.config))
            for topic in topics
            if topic.name not in existing
        ]
        if not wanted:
            return []
        created = []
        for name, future in self._admin.create_topics(wanted, request_timeout=_REQUEST_TIMEOUT_S).items():
            try:
                future.result()
                created.append(name)
            except KafkaException as error:
                why = error.args[0]
                if why.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise BusRefusedError(
                        f"topic {name} could not be created: {why.str()}; this user needs Create on it, or "
                        "Write if it exists"
                    ) from error
                if why.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TransportError(f"topic {name} could not be created: {why.str()}") from error
        return sorted(created)
