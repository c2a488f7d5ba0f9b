import { readFile, stat } from 'node:fs/promises';
import type { OwnRabbit } from '../own-servers.ts';

export interface QueueCounts {
  readonly ready: number;
  readonly unacked: number;
}

/** Older than this, the broker that wrote it has gone. */
const STALE_MS = 2_000;
const EVERY_MS = 100;
/** Quorum queues count at each tick of 200 ms (`World`): what is written later than that shows what is so now. */
const TICK_MS = 250;

/**
 * Ready and unacknowledged messages of every queue, as often as somebody asks. `rabbitmqctl` starts an Erlang machine
 * each time, which takes a second of a whole core from the processes under test; so the broker itself is told once to
 * write its counts to a file ten times a second.
 */
export class QueueWatch {
  readonly #rabbit: OwnRabbit;
  readonly #file: string;

  constructor(rabbit: OwnRabbit, file: string) {
    this.#rabbit = rabbit;
    this.#file = file;
  }

  /** As it was after this was called: what was counted before a kill must not count after it. A queue that does not exist has nothing. */
  async counts(queue: string): Promise<QueueCounts> {
    const wanted = Date.now() + TICK_MS;
    while ((await this.#writtenMs()) < wanted) {
      if (Date.now() - (await this.#writtenMs()) > STALE_MS) await this.#begin();
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS / 2));
    }
    const line = (await readFile(this.#file, 'utf8')).split('\n').find((text) => text.split('\t')[0] === queue);
    const [, ready = '0', unacked = '0'] = line?.split('\t') ?? [];
    return { ready: Number(ready), unacked: Number(unacked) };
  }

  async #writtenMs(): Promise<number> {
    return (await stat(this.#file).catch(() => undefined))?.mtimeMs ?? 0;
  }

  async #begin(): Promise<void> {
    const file = JSON.stringify(this.#file);
    await this.#rabbit.ctl(
      'eval',
      `
      Write = fun() ->
        Infos = rabbit_amqqueue:info_all(<<"/">>, [name, messages_ready, messages_unacknowledged]),
        Lines = [io_lib:format("~s\t~p\t~p~n",
                   [element(4, proplists:get_value(name, Info)),
                    proplists:get_value(messages_ready, Info),
                    proplists:get_value(messages_unacknowledged, Info)]) || Info <- Infos],
        ok = file:write_file(${file} ++ ".new", Lines),
        ok = file:rename(${file} ++ ".new", ${file})
      end,
      Loop = fun(Again) -> catch Write(), timer:sleep(${EVERY_MS}), Again(Again) end,
      Write(), spawn(fun() -> Loop(Loop) end), ok.`,
    );
  }
}
