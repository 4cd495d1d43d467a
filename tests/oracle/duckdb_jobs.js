// node duckdb_jobs.js: reads lines of JSON {job, input, output, more}, runs each with DuckDB as the benchmark does, and
// answers each with a line {ok} or {error}. Exit code 77: DuckDB is not installed.
'use strict';

const readline = require('node:readline');

const { duckdb } = require('../bench/peers.js');

async function main() {
  try {
    require.resolve('@duckdb/node-api', { paths: [require('node:path').join(__dirname, '../bench')] });
  } catch {
    console.error('DuckDB is not installed: ./dev setup bench');
    process.exit(77);
  }
  console.log(JSON.stringify({ ok: true }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { job, input, output, more } = JSON.parse(line);
    let answer = { ok: true };
    try {
      await duckdb(job, 1, input, output, more);
    } catch (error) {
      answer = { error: String(error.message || error) };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
