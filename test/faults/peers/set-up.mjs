// Makes the tables of a peer that has some.
import pg from 'pg';
import { ADAPTERS } from './adapters.mjs';

const client = new pg.Client({ connectionString: process.env.FAULTS_DATABASE_URL });
await client.connect();
for (const sql of ADAPTERS[process.env.FAULTS_PEER].setUp ?? []) await client.query(sql);
await client.end();
process.exit(0);
