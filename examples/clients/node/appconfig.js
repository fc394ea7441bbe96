// Keeps a key-value, with nothing but AZURE_APPCONFIGURATION_CONNECTIONSTRING.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { AppConfigurationClient } from "@azure/app-configuration";

const word = randomUUID();
const store = new AppConfigurationClient(process.env.AZURE_APPCONFIGURATION_CONNECTIONSTRING);
await store.setConfigurationSetting({ key: `node-${word}`, value: word });
assert.equal((await store.getConfigurationSetting({ key: `node-${word}` })).value, word);
await store.deleteConfigurationSetting({ key: `node-${word}` });
