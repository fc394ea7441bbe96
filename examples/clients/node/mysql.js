// Keeps a row in MySQL, with nothing but the AZURE_MYSQL_ settings.
import assert from "node:assert";
import { randomUUID } from "node:crypto";
import mysql from "mysql2/promise";

const { env } = process;
const word = randomUUID();
const db = await mysql.createConnection({
  host: env.AZURE_MYSQL_HOST,
  port: Number(env.AZURE_MYSQL_PORT),
  user: env.AZURE_MYSQL_USER,
  password: env.AZURE_MYSQL_PASSWORD,
  database: env.AZURE_MYSQL_DATABASE,
  ssl: env.AZURE_MYSQL_SSL === "true" ? {} : undefined,
});
await db.query("CREATE TABLE IF NOT EXISTS words (word varchar(40))");
await db.query("INSERT INTO words VALUES (?)", [word]);
const [rows] = await db.query("SELECT word FROM words WHERE word = ?", [word]);
assert.equal(rows[0].word, word);
await db.end();
