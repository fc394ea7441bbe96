// Keeps an entity, with nothing but AZURE_STORAGETABLE_CONNECTIONSTRING.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { TableClient } from "@azure/data-tables";

const word = randomUUID();
const table = TableClient.fromConnectionString(process.env.AZURE_STORAGETABLE_CONNECTIONSTRING, `node${word.replaceAll("-", "")}`);
await table.createTable();
await table.createEntity({ partitionKey: "words", rowKey: word, length: word.length });
assert.equal((await table.getEntity("words", word)).length, word.length);
await table.deleteTable();
