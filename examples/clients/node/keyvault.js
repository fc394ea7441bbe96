// Keeps a secret in a Key Vault, with nothing but the AZURE_KEYVAULT_ settings.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { ClientSecretCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const { env } = process;
const word = randomUUID();
const credential = new ClientSecretCredential(env.AZURE_KEYVAULT_TENANTID, env.AZURE_KEYVAULT_CLIENTID, env.AZURE_KEYVAULT_CLIENTSECRET, {
  authorityHost: env.AZURE_AUTHORITY_HOST,
  disableInstanceDiscovery: Boolean(env.AZURE_AUTHORITY_HOST),
});
const vault = new SecretClient(env.AZURE_KEYVAULT_RESOURCEENDPOINT, credential, { disableChallengeResourceVerification: true });
await vault.setSecret(`node-${word}`, word);
assert.equal((await vault.getSecret(`node-${word}`)).value, word);
