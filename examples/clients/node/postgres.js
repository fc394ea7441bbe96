// Keeps a row in PostgreSQL, with nothing but the AZURE_POSTGRESQL_ settings.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import pg from "pg";

const { env } = process;
const word = randomUUID();
const db = new pg.Client({
  host: env.AZURE_POSTGRESQL_HOST,
  port: Number(env.AZURE_POSTGRESQL_PORT),
  user: env.AZURE_POSTGRESQL_USER,
  password: env.AZURE_POSTGRESQL_PASSWORD,
  database: env.AZURE_POSTGRESQL_DATABASE,
  ssl: env.AZURE_POSTGRESQL_SSL === "true",
});
await db.connect();
await db.query("CREATE TABLE IF NOT EXISTS words (word text)");
await db.query("INSERT INTO words VALUES ($1)", [word]);
const { rows } = await db.query("SELECT word FROM words WHERE word = $1", [word]);
assert.deepEqual(rows, [{ word }]);
await db.end();
