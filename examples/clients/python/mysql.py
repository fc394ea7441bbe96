"""Keeps a row in MySQL, with nothing but the AZURE_MYSQL_ settings."""

import os
import ssl
import uuid

import pymysql

word = str(uuid.uuid4())
db = pymysql.connect(
    host=os.environ["AZURE_MYSQL_HOST"],
    user=os.environ["AZURE_MYSQL_USER"],
    password=os.environ["AZURE_MYSQL_PASSWORD"],
    database=os.environ["AZURE_MYSQL_NAME"],
    ssl=ssl.create_default_context(),
)
with db, db.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS words (word varchar(40))")
    cursor.execute("INSERT INTO words VALUES (%s)", (word,))
    db.commit()
    cursor.execute("SELECT word FROM words WHERE word = %s", (word,))
    assert cursor.fetchone() == (word,)
