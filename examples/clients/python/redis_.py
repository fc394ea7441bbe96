"""Keeps a value in Redis, with nothing but AZURE_REDIS_CONNECTIONSTRING."""

import os
import uuid

import redis

word = str(uuid.uuid4())
cache = redis.from_url(os.environ["AZURE_REDIS_CONNECTIONSTRING"])
cache.set("word-" + word, word, ex=60)
assert cache.get("word-" + word) == word.encode()
