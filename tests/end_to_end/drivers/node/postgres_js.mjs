// postgres.js: no SSLRequest, Parse and Describe with Flush, every text a named statement that is
// prepared once (COMMIT too), queries pipelined on a pool.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres from "postgres";

const table = process.env.TABLE;
const sql = postgres(process.env.DATABASE_URL, { max: 2, onnotice: () => {} });
const sqlstate = (code) => (error) => error.code === code;
const done = (step) => console.log(`ok ${step}`);

assert.equal((await sql`SELECT 1 AS one`)[0].one, 1);
done("connect");

for (const n of [1, 2]) {
  assert.deepEqual([...(await sql`SELECT ${n}::int + 1 AS n, ${"ä"}::text AS t`)], [{ n: n + 1, t: "ä" }]);
}
done("prepared");

// Prepared as a named statement: the DDLX goes through Parse, Describe and Flush.
await sql.begin(async (tx) => {
  await tx`CREATE TABLE ${tx(table)} (id int PRIMARY KEY, value text)`;
  const result = await tx`ALTER TABLE ${tx(table)} ENABLE ELECTRIC`;
  assert.equal(result.command, "ELECTRIC ENABLE");
});
done("electrify");

await sql.unsafe(`CREATE TABLE ${table}_b (id int PRIMARY KEY); ELECTRIC ENABLE ${table}_b; SELECT 1`).simple();
done("script");

const reason = new Error("rolled back on purpose");
await assert.rejects(sql.begin(async (tx) => {
  await tx.unsafe(`CREATE TABLE ${table}_gone (id int PRIMARY KEY)`);
  await tx.unsafe(`ALTER TABLE ${table}_gone ENABLE ELECTRIC`);
  throw reason;
}), reason);
assert.equal((await sql`SELECT to_regclass(${table + "_gone"}) AS found`)[0].found, null);
done("rollback");

await assert.rejects(sql.begin(async (tx) => {
  await tx.unsafe(`CREATE TABLE ${table}_bad (id int PRIMARY KEY, n int DEFAULT 1)`);
  await tx.unsafe(`ALTER TABLE ${table}_bad ENABLE ELECTRIC`);
}), (error) => error.code === "P0001" && /DEFAULT expressions/.test(error.message));
done("refused");

await assert.rejects(sql.unsafe("SELEC 1"), sqlstate("42601"));
await assert.rejects(sql`SELECT 1 / ${0}::int`, sqlstate("22012"));
assert.equal((await sql`SELECT 1 / ${1}::int AS n`)[0].n, 1);
done("recovery");

const lines = Array.from({ length: 20000 }, (_, n) => `${n}\tvalue ${n}\n`);
await pipeline(Readable.from(lines), await sql`COPY ${sql(table)} FROM STDIN`.writable());
// A pool of its own: the driver does not give the connection of a readable back (also without us).
const reader = postgres(process.env.DATABASE_URL, { max: 1 });
const chunks = [];
for await (const chunk of await reader.unsafe(`COPY (TABLE ${table} ORDER BY id) TO STDOUT`).readable()) chunks.push(chunk);
assert.equal(Buffer.concat(chunks).toString(), lines.join(""));
await reader.end({ timeout: 1 });
done("copy");

const many = await Promise.all(Array.from({ length: 500 }, (_, n) => sql`SELECT ${n}::int AS n`));
assert.deepEqual(many.map((rows) => rows[0].n), Array.from({ length: 500 }, (_, n) => n));
done("pipeline");

let seen = 0;
await sql`SELECT generate_series(1, 1000) AS n`.cursor(100, (rows) => { seen += rows.length; });
assert.equal(seen, 1000);
done("cursor");

const notified = await new Promise(async (resolve) => {
  await sql.listen(table, resolve);
  await sql.notify(table, "hello");
});
assert.equal(notified, "hello");
done("notify");

const began = Date.now();
const sleeper = sql`SELECT pg_sleep(60)`;
sleeper.execute();
setTimeout(() => sleeper.cancel(), 300);
await assert.rejects(sleeper, sqlstate("57014"));
assert.ok(Date.now() - began < 5000, "the cancel request took too long");
assert.equal((await sql`SELECT 1 AS one`)[0].one, 1);
done("cancel");

const long = "x".repeat(10_000_000);
assert.equal((await sql`SELECT ${long}::text AS t`)[0].t, long);
done("large");

await sql.end();
