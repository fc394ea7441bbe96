"""Passes a record through Kafka, with nothing but the CONFLUENTCLOUD_KAFKA_ settings."""

import os
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

word = str(uuid.uuid4())
settings = {
    "bootstrap.servers": os.environ["CONFLUENTCLOUD_KAFKA_BOOTSTRAPSERVER"],
    "security.protocol": "SASL_SSL",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": os.environ["CONFLUENTCLOUD_KAFKA_SASLUSERNAME"],
    "sasl.password": os.environ["CONFLUENTCLOUD_KAFKA_SASLPASSWORD"],
}
if "SSL_CERT_FILE" in os.environ:
    settings["ssl.ca.location"] = os.environ["SSL_CERT_FILE"]
placed = []
producer = Producer(settings)
producer.produce("words", word, on_delivery=lambda failed, record: placed.append((failed, record.partition(), record.offset())))
producer.flush(20)
failed, partition, offset = placed[0]
assert failed is None, failed
consumer = Consumer(settings | {"group.id": "python-" + word, "enable.auto.commit": False})
consumer.assign([TopicPartition("words", partition, offset)])
record = consumer.poll(20)
assert record is not None and record.error() is None and record.value() == word.encode()
consumer.close()
