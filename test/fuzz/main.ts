/**
 * npm run fuzz [-- --messages N --frames N --seed N --out FILE]: hostile messages into a consumer on RabbitMQ, damaged
 * frames into the embedded broker. Both default to a million. Exit 1 at a crash, a hang, or a message that is unaccounted for.
 */
import { parseArgs } from 'node:util';
import { machine, writeReport } from '../faults/report.ts';
import { findServers } from '../support/servers/find-servers.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { fuzzConsumer } from './consumer-fuzz.ts';
import { fuzzFrames } from './frames-fuzz.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    frames: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const [messages, frames, seed] = [Number(values.messages), Number(values.frames), Number(values.seed)];
const servers = await findServers();
const unhandled: string[] = [];
const note = (error: unknown) => {
  unhandled.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  console.log(`✗ not caught: ${unhandled.at(-1)}`);
};
process.on('unhandledRejection', note);
process.on('uncaughtException', note);
// Until the end is reached.
process.exitCode = 1;
const began = performance.now();
const consumer = await fuzzConsumer(testBrokerUrl(), messages, seed, uniqueName('fuzz'));
console.log(JSON.stringify(consumer));
const broker = await fuzzFrames(frames, seed);
console.log(JSON.stringify(broker));
await servers.remove();
const isConsumerGood = consumer.unaccounted === 0 && consumer.arePrototypesClean;
const isBrokerGood = broker.hung + broker.unaccounted + broker.failures.length + broker.connectionsLeft === 0;
const seconds = Math.round((performance.now() - began) / 1000);
if (values.out)
  writeReport({ seed, seconds, machine: machine(), node: process.version, consumer, broker, unhandled }, values.out);
const isGood = isConsumerGood && isBrokerGood && unhandled.length === 0;
console.log(`${isGood ? 'passed' : 'failed'}: ${messages} messages, ${frames} frames, ${seconds} s`);
process.exitCode = isGood ? 0 : 1;
