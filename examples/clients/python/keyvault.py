"""Keeps a secret in a Key Vault, with nothing but the AZURE_KEYVAULT_ settings."""

import os
import uuid

from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

word = str(uuid.uuid4())
credential = ClientSecretCredential(
    os.environ["AZURE_KEYVAULT_TENANTID"],
    os.environ["AZURE_KEYVAULT_CLIENTID"],
    os.environ["AZURE_KEYVAULT_CLIENTSECRET"],
    disable_instance_discovery="AZURE_AUTHORITY_HOST" in os.environ,
)
vault = SecretClient(os.environ["AZURE_KEYVAULT_RESOURCEENDPOINT"], credential, verify_challenge_resource=False)
vault.set_secret("python-" + word, word)
assert vault.get_secret("python-" + word).value == word
