// The relay of a peer that has an outbox.
import { ADAPTERS } from './adapters.mjs';

const { FAULTS_PEER, FAULTS_BROKER_URL, FAULTS_DATABASE_URL } = process.env;
process.on('SIGTERM', () => process.exit(0));
await ADAPTERS[FAULTS_PEER].relay(FAULTS_BROKER_URL, FAULTS_DATABASE_URL);
