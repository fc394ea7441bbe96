// Passes a record through Kafka, with nothing but the CONFLUENTCLOUD_KAFKA_ settings.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const { env } = process;
const word = randomUUID();
const kafka = new Kafka({
  brokers: [env.CONFLUENTCLOUD_KAFKA_BOOTSTRAPSERVER],
  ssl: true,
  sasl: { mechanism: "plain", username: env.CONFLUENTCLOUD_KAFKA_SASLUSERNAME, password: env.CONFLUENTCLOUD_KAFKA_SASLPASSWORD },
  logLevel: logLevel.ERROR,
});
const producer = kafka.producer();
await producer.connect();
await producer.send({ topic: "words", messages: [{ value: word }] });
const consumer = kafka.consumer({ groupId: `node-${word}` });
await consumer.connect();
await consumer.subscribe({ topic: "words", fromBeginning: true });
const seen = new Promise((resolve) => {
  consumer.run({ eachMessage: async ({ message }) => message.value.toString() === word && resolve(word) });
});
assert.equal(await seen, word);
await consumer.disconnect();
await producer.disconnect();
