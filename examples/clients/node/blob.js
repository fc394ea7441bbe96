// Keeps a blob, with nothing but AZURE_STORAGEBLOB_CONNECTIONSTRING.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { BlobServiceClient } from "@azure/storage-blob";

const word = randomUUID();
const container = BlobServiceClient.fromConnectionString(process.env.AZURE_STORAGEBLOB_CONNECTIONSTRING).getContainerClient(`node-${word}`);
await container.create();
await container.uploadBlockBlob("word", word, word.length);
assert.equal((await container.getBlobClient("word").downloadToBuffer()).toString(), word);
await container.delete();
