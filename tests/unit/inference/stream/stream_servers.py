"""Real messaging servers on free ports, and how tests put messages in and take answers out."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from cluster.locks import exclusively
from cluster.programs import cache_folder

KAFKA = "4.1.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>mooring</groupId><artifactId>broker</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version>
</dependency></dependencies></project>"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens on a port; it can be killed and started again with its data."""

    def __init__(self, command, port):
        self.command, self.port = command, port
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert self.process.poll() is None, f"{self.command[0]} ended with {self.process.returncode}"
                assert time.monotonic() < deadline, f"{self.command[0]} does not listen"
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()


def redis_server(folder: Path) -> Server:
    program = shutil.which("redis-server") or pytest.skip("there is no redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    # With everysec a slow disk keeps writes back: a server that is killed then has lost what it answered for.
    return Server([*command, "--appendonly", "yes", "--appendfsync", "always"], port).start()


def nats_server(folder: Path) -> Server:
    program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("there is no nats-server")
    port = free_port()
    return Server([program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)], port).start()


def kafka_jars() -> Path:
    """The broker's Java archives; MOORING_FETCH_KAFKA=1 fetches them once with Maven, 43 MB."""
    folder = cache_folder() / f"kafka-{KAFKA}"
    java, maven = shutil.which("java"), shutil.which("mvn")
    with exclusively(cache_folder() / "locks" / "kafka.lock"):
        if java and maven and not folder.exists() and os.environ.get("MOORING_FETCH_KAFKA") == "1":
            work = folder.with_name(f".{folder.name}.{os.getpid()}")
            work.mkdir(parents=True)
            (work / "pom.xml").write_text(_POM)
            target = ["-DincludeScope=runtime", f"-DoutputDirectory={work}/lib"]
            command = [
                maven,
                "-q",
                "-B",
                "-f",
                str(work / "pom.xml"),
                "dependency:copy-dependencies",
                *target,
            ]
            done = subprocess.run(command, capture_output=True, timeout=240, check=False)
            if done.returncode == 0:
                (work / "lib").rename(folder)
            shutil.rmtree(work)
    if not (java and folder.exists()):
        pytest.skip("there is no Kafka broker: with Java and Maven, MOORING_FETCH_KAFKA=1 fetches one")
    return folder


def kafka_server(folder: Path, listener: str = "PLAINTEXT", settings: str = "", users: tuple = ()) -> Server:
    """A broker that listens for clients by the protocol `listener`; `users` are of SCRAM, as its tool takes them."""
    jars, port, inside, control = kafka_jars(), free_port(), free_port(), free_port()
    file = folder / "server.properties"
    file.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{control}
listeners=CLIENTS://127.0.0.1:{port},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{control}
inter.broker.listener.name=INSIDE
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,CLIENTS:{listener}
log.dirs={folder}/logs
num.partitions=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
{settings}"""
    )
    java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(file)]
    added = [part for user in users for part in ("--add-scram", user)]
    done = subprocess.run([*tool, *added], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Server([*java, "kafka.Kafka", str(file)], port).start()


class RedisBench:
    """Streams ``NAME-in``, ``NAME-out`` and ``NAME-dead`` of a server."""

    def __init__(self, server, name):
        from redis.asyncio import Redis

        self.name = name
        self.client = Redis(port=server.port)
        self.urls = {end: f"redis://127.0.0.1:{server.port}/{name}-{end}" for end in ("in", "out", "dead")}

    async def prepare(self):
        return self

    async def put(self, bodies):
        async with self.client.pipeline(transaction=False) as pipe:
            for body in bodies:
                pipe.xadd(f"{self.name}-in", {"data": body})
            await pipe.execute()

    async def take(self, end):
        entries = await self.client.xrange(f"{self.name}-{end}")
        return [(fields[b"id"].decode(), orjson.loads(fields[b"data"])) for _, fields in entries]

    async def count(self, end):
        return await self.client.xlen(f"{self.name}-{end}")

    async def unfinished(self, group):
        pending = (await self.client.xpending(f"{self.name}-in", group))["pending"]
        info = await self.client.xinfo_groups(f"{self.name}-in")
        return pending + info[0]["lag"]

    async def close(self):
        await self.client.aclose()


class NatsBench:
    """Streams of one subject each."""

    def __init__(self, server, name):
        self.name, self.server = name, server
        self.urls = {end: f"nats://127.0.0.1:{server.port}/{name}.{end}" for end in ("in", "out", "dead")}

    async def prepare(self):
        import nats

        self.client = await nats.connect(f"nats://127.0.0.1:{self.server.port}")
        self.context = self.client.jetstream()
        for end in ("in", "out", "dead"):
            await self.context.add_stream(name=f"{self.name}-{end}", subjects=[f"{self.name}.{end}"])
        return self

    async def put(self, bodies):
        await asyncio.gather(*(self.context.publish(f"{self.name}.in", body) for body in bodies))

    async def count(self, end):
        return (await self.context.stream_info(f"{self.name}-{end}")).state.messages

    async def take(self, end):
        stream, count = f"{self.name}-{end}", await self.count(end)
        found = []
        # More at once than a busy server answers in time would fail together.
        for start in range(1, count + 1, 100):
            numbers = range(start, min(start + 100, count + 1))
            found += await asyncio.gather(*(self.context.get_msg(stream, number) for number in numbers))
        bodies = [orjson.loads(message.data) for message in found]
        return [(body["id"], body) for body in bodies]

    async def unfinished(self, group):
        info = await self.context.consumer_info(f"{self.name}-in", group)
        return info.num_ack_pending + info.num_pending

    async def close(self):
        await self.client.close()


class KafkaBench:
    """Topics of two partitions."""

    security: ClassVar[dict] = {}

    def __init__(self, server, name):
        self.name, self.server = f"127.0.0.1:{server.port}", server
        self.topic = name
        self.urls = {end: f"kafka://127.0.0.1:{server.port}/{name}-{end}" for end in ("in", "out", "dead")}

    async def prepare(self):
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.name, **self.security)
        await self.admin.start()
        topics = [NewTopic(f"{self.topic}-{end}", 2, 1) for end in ("in", "out", "dead")]
        await self.admin.create_topics(topics)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.name, **self.security)
        await self.producer.start()
        self.watcher = AIOKafkaConsumer(bootstrap_servers=self.name, **self.security)
        await self.watcher.start()
        self.partition = TopicPartition
        return self

    async def put(self, bodies):
        sent = [await self.producer.send(f"{self.topic}-in", body) for body in bodies]
        await asyncio.gather(*sent)

    async def count(self, end):
        if end != "in":
            # Ends of transactions have offsets too.
            return len(await self.take(end))
        partitions = [self.partition(f"{self.topic}-in", number) for number in (0, 1)]
        return sum((await self.watcher.end_offsets(partitions)).values())

    async def take(self, end):
        """What is committed."""
        from aiokafka import AIOKafkaConsumer, TopicPartition

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.name,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **self.security,
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(f"{self.topic}-{end}", number) for number in (0, 1)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found = []
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [(record.key.decode(), orjson.loads(record.value)) for record in records]
            return found
        finally:
            await consumer.stop()

    async def limit(self, end, size):
        """Have a topic refuse batches of more bytes."""
        from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

        limits = {"max.message.bytes": str(size)}
        await self.admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, f"{self.topic}-{end}", configs=limits)]
        )

    async def unfinished(self, group):
        from aiokafka.errors import GroupCoordinatorNotAvailableError

        try:
            committed = await self.admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            # The broker makes the topic for it when it is first asked.
            committed = {}
        mine = [one.offset for partition, one in committed.items() if partition.topic == f"{self.topic}-in"]
        return await self.count("in") - sum(mine)

    async def close(self):
        await self.producer.stop()
        await self.watcher.stop()
        await self.admin.close()


SERVERS = {"redis": redis_server, "nats": nats_server, "kafka": kafka_server}
BENCHES = {"redis": RedisBench, "nats": NatsBench, "kafka": KafkaBench}
