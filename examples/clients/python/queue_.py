"""Passes a message through a queue, with nothing but AZURE_STORAGEQUEUE_CONNECTIONSTRING."""

import os
import uuid

from azure.storage.queue import QueueClient

word = str(uuid.uuid4())
queue = QueueClient.from_connection_string(os.environ["AZURE_STORAGEQUEUE_CONNECTIONSTRING"], "python-" + word)
queue.create_queue()
queue.send_message(word)
message = queue.receive_message()
assert message.content == word
queue.delete_message(message)
queue.delete_queue()
