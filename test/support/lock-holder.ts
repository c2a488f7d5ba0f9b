import { HostLock } from '../../src/embedded/hosting/host-lock.ts';

/** Says who holds the lock of a folder, as it is seen from where this runs. */
const [folder = ''] = process.argv.slice(2);
process.stdout.write(JSON.stringify((await HostLock.holder(folder, 'broker')) ?? null));
