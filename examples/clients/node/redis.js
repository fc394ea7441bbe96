// Keeps a value in Redis, with nothing but AZURE_REDIS_CONNECTIONSTRING.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { createClient } from "redis";

const word = randomUUID();
const cache = createClient({ url: process.env.AZURE_REDIS_CONNECTIONSTRING });
await cache.connect();
await cache.set(`word-${word}`, word, { EX: 60 });
assert.equal(await cache.get(`word-${word}`), word);
await cache.close();
