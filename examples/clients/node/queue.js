// Passes a message through a queue, with nothing but AZURE_STORAGEQUEUE_CONNECTIONSTRING.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { QueueServiceClient } from "@azure/storage-queue";

const word = randomUUID();
const queue = QueueServiceClient.fromConnectionString(process.env.AZURE_STORAGEQUEUE_CONNECTIONSTRING).getQueueClient(`node-${word}`);
await queue.create();
await queue.sendMessage(word);
const { receivedMessageItems } = await queue.receiveMessages();
assert.equal(receivedMessageItems[0].messageText, word);
await queue.deleteMessage(receivedMessageItems[0].messageId, receivedMessageItems[0].popReceipt);
await queue.delete();
