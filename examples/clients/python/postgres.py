"""Keeps a row in PostgreSQL, with nothing but AZURE_POSTGRESQL_CONNECTIONSTRING."""

import os
import uuid

import psycopg

word = str(uuid.uuid4())
with psycopg.connect(os.environ["AZURE_POSTGRESQL_CONNECTIONSTRING"]) as db:
    db.execute("CREATE TABLE IF NOT EXISTS words (word text)")
    db.execute("INSERT INTO words VALUES (%s)", (word,))
    assert db.execute("SELECT word FROM words WHERE word = %s", (word,)).fetchone() == (word,)
