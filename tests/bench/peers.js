// node peers.js duckdb|polars JOB THREADS IN OUT: one job of the benchmark on a library that is meant to be fast at it.
// Each gets what helps it: types of the columns given, no more columns than needed, lazy plans, its own parallel reader.
'use strict';

const csvColumns = `{tx_id: 'VARCHAR', ts: 'VARCHAR', account: 'VARCHAR', merchant: 'VARCHAR', country: 'VARCHAR',
  category: 'VARCHAR', amount: 'DOUBLE', currency: 'VARCHAR', status: 'VARCHAR', note: 'VARCHAR'}`;
const eventColumns = "{ts_ms: 'BIGINT', key: 'VARCHAR', value: 'DOUBLE', kind: 'VARCHAR'}";
const pattern = String.raw`status=(\d+) dur=([0-9.]+)ms user=(\w+)`;

// `more`: further options of DuckDB's reader, for inputs that are meant to be hard.
async function duckdb(job, threads, input, output, more = '') {
  const { DuckDBInstance } = require('@duckdb/node-api');
  const db = await DuckDBInstance.create(':memory:', { threads });
  const connection = await db.connect();
  const text = (path) => `'${path.replaceAll("'", "''")}'`;
  const csv = (columns) =>
    `read_csv(${text(input)}, auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', columns = ${columns}${more})`;
  const [select, format] = {
    j1: [`SELECT tx_id, ts, account, country, amount, currency, round(amount * 0.029 + 0.30, 2) AS fee, note
          FROM ${csv(csvColumns)} WHERE amount > 500 AND status = 'ok'`, 'csv, HEADER'],
    j2: [`SELECT account, count(*) AS n, sum(amount) AS s, avg(amount) AS m, quantile_cont(amount, 0.95) AS p95
          FROM ${csv(csvColumns)} GROUP BY account ORDER BY account`, 'csv, HEADER'],
    j2b: [`SELECT account, count(*) AS n, sum(amount) AS s, avg(amount) AS m
           FROM ${csv(csvColumns)} GROUP BY account ORDER BY account`, 'csv, HEADER'],
    j3: [`SELECT ts, level, service, CAST(x.status AS INTEGER) AS status, CAST(x.dur AS DOUBLE) AS dur_ms, x.user AS "user"
          FROM (SELECT ts, level, service, regexp_extract(msg, '${pattern}', ['status', 'dur', 'user']) AS x
                FROM read_ndjson(${text(input)}, columns = {ts: 'VARCHAR', level: 'VARCHAR', service: 'VARCHAR', msg: 'VARCHAR'}${more})
                WHERE level IN ('WARN', 'ERROR'))`, 'json'],
    j4: [`SELECT ts_ms // 60000 * 60000 AS w, key, count(*) AS n, avg(value) AS m, max(value) AS mx
          FROM ${csv(eventColumns)} GROUP BY w, key ORDER BY w, key`, 'csv, HEADER'],
  }[job];
  await connection.run('SET preserve_insertion_order = true');
  await connection.run(`COPY (${select}) TO ${text(output)} (FORMAT ${format})`);
  connection.closeSync();
  db.closeSync();
}

async function polars(job, threads, input, output) {
  process.env.POLARS_MAX_THREADS = threads;
  const pl = require('nodejs-polars');
  const col = pl.col;
  const amounts = [col('amount').count().alias('n'), col('amount').sum().alias('s'), col('amount').mean().alias('m')];
  const write = (frame) => frame.writeCSV(output);
  if (job === 'j1') {
    const rows = pl.scanCSV(input)
      .filter(col('amount').gt(500).and(col('status').eq(pl.lit('ok'))))
      .select('tx_id', 'ts', 'account', 'country', 'amount', 'currency',
        // its round(2) takes ties to even: half away from zero by hand
        col('amount').mul(0.029).add(0.30).mul(100).add(0.5).floor().div(100).alias('fee'), 'note');
    const sink = rows.sinkCSV(output, { includeHeader: true });
    await (sink && sink.collect ? sink.collect() : sink);
  } else if (job === 'j2') {
    write(await pl.scanCSV(input).groupBy('account').agg(...amounts, col('amount').quantile(0.95).alias('p95'))
      .sort('account').collect());
  } else if (job === 'j2b') {
    write(await pl.scanCSV(input).groupBy('account').agg(...amounts).sort('account').collect());
  } else if (job === 'j3') {
    const part = (group) => col('msg').str.extract(pattern, group);
    const rows = await pl.scanJson(input, {}).filter(col('level').isIn(['WARN', 'ERROR']))
      .select('ts', 'level', 'service', part(1).cast(pl.Int32).alias('status'),
        part(2).cast(pl.Float64).alias('dur_ms'), part(3).alias('user')).collect();
    rows.writeJSON(output, { format: 'lines' });
  } else if (job === 'j4') {
    write(await pl.scanCSV(input).withColumn(col('ts_ms').minus(col('ts_ms').modulo(60000)).alias('w'))
      .groupBy(['w', 'key'])
      .agg(col('value').count().alias('n'), col('value').mean().alias('m'), col('value').max().alias('mx'))
      .sort(['w', 'key'], false).collect());
  } else {
    throw new Error(`no job ${job}`);
  }
}

if (require.main === module) {
  const [peer, job, threads, input, output] = process.argv.slice(2);
  ({ duckdb, polars })[peer](job, threads, input, output).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
module.exports = { duckdb, polars };
