"""What Celery's workers need of the broker beyond what kombu does. A leaf: imports nothing of the shop."""

from collections.abc import Iterator
from contextlib import contextmanager

from kombu.transport import redis, virtual


class QoS(redis.QoS):  # type: ignore[misc]  # kombu ships no types
    """Counts the messages that a worker holds, so that it takes no more than it can work on.

    To kombu, a message whose acknowledgement got no answer is held for ever: after one silence of Redis for each place
    the worker hears nothing any more, though its connection is well. Here the place is free in any case. Redis hands
    such a message out again after its visibility timeout, and every task may run twice.
    """

    def ack(self, delivery_tag: str) -> None:
        with self._freeing(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        with self._freeing(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _freeing(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def install_qos() -> None:
    """For every connection of this process to Redis, whichever its address: redis, rediss, sentinel."""
    redis.Channel.QoS = QoS
