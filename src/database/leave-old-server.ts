import type { DatabaseConnection } from './connection.ts';
import type { DatabaseLink } from './link.ts';
import { serverStart } from './sql/server-start.ts';
import { sessionIsReadOnly } from './sql/session-is-read-only.ts';

/**
 * Who only reads keeps an old primary that was told to refuse writes, and is up, for ever, and sees nothing of what
 * happens on the new one. Where the address leads to the same server still, it stays: a role may be for reading alone.
 * @param connect leads to where the address does
 */
export async function leaveOldServer(link: DatabaseLink, connect: () => Promise<DatabaseConnection>): Promise<void> {
  if (!(await sessionIsReadOnly(link))) return;
  const fresh = await connect();
  try {
    if ((await serverStart(fresh)) !== (await serverStart(link))) await link.reset();
  } finally {
    await fresh.close();
  }
}
