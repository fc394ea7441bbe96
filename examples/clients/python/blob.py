"""Keeps a blob, with nothing but AZURE_STORAGEBLOB_CONNECTIONSTRING."""

import os
import uuid

from azure.storage.blob import BlobServiceClient

word = str(uuid.uuid4())
container = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGEBLOB_CONNECTIONSTRING"]).create_container("python-" + word)
container.upload_blob("word", word)
assert container.download_blob("word").readall() == word.encode()
container.delete_container()
