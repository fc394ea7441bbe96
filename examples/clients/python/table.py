"""Keeps an entity, with nothing but AZURE_STORAGETABLE_CONNECTIONSTRING."""

import os
import uuid

from azure.data.tables import TableServiceClient

word = str(uuid.uuid4())
table = TableServiceClient.from_connection_string(os.environ["AZURE_STORAGETABLE_CONNECTIONSTRING"]).create_table("python" + word.replace("-", ""))
table.create_entity({"PartitionKey": "words", "RowKey": word, "Length": len(word)})
assert table.get_entity("words", word)["Length"] == len(word)
assert [one["RowKey"] for one in table.query_entities("PartitionKey eq 'words' and Length gt 1")] == [word]
table.delete_table()
