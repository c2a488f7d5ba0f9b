import type { Seen } from './answer.ts';

export interface SendOptions {
  /** '' for none. */
  readonly token: string;
  readonly signal: AbortSignal;
}

const FIRST_LOOK_MS = 200;
const SLOWEST_LOOK_MS = 3000;
/** What is not over by then is looked up by whoever waits for it. */
const LOOK_FOR_MS = 600_000;

/** Sends the body of a form and tells what becomes of it, until it has ended. */
export async function* followState(form: DOMStringMap, body: unknown, options: SendOptions): AsyncGenerator<Seen> {
  const { kind, url = '', stateUrl = '' } = form;
  const sent = await ask(url, options, { method: 'POST', body: JSON.stringify(body) });
  const id = sent.isGood ? idOf(sent.answer) : undefined;
  if (id === undefined) {
    yield { state: sent.isGood && !isRefused(sent.answer) ? 'done' : 'failed', text: sent.text, answer: sent.answer };
    return;
  }
  yield { state: 'running', text: `${sent.text}: started`, answer: sent.answer };
  const began = performance.now();
  for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(waitMs * 1.5, SLOWEST_LOOK_MS)) {
    const looked = await look(`${stateUrl}/${encodeURIComponent(id)}`, options);
    if (looked && !looked.isGood) {
      yield { state: 'failed', text: looked.text, answer: looked.answer };
      return;
    }
    const seen = looked ? (kind === 'task' ? taskSeen : processSeen)(looked.answer) : UNANSWERED;
    yield seen;
    if (seen.state !== 'running') return;
    if (performance.now() - began > LOOK_FOR_MS) {
      yield { ...seen, text: `${seen.text}; no longer looked at` };
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (options.signal.aborted) return;
  }
}

const UNANSWERED: Seen = Object.freeze({ state: 'running', text: 'No answer, asking again …' });
/** Of a server that is busy, or of what stands before one that is starting anew. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** What was started goes on without the server that is asked. @returns undefined when there was no answer this time */
async function look(url: string, options: SendOptions): Promise<Answered | undefined> {
  try {
    const answered = await ask(url, options);
    return PASSING.has(answered.status) ? undefined : answered;
  } catch (error) {
    if (options.signal.aborted) throw error;
    return undefined;
  }
}

interface Answered {
  readonly status: number;
  readonly isGood: boolean;
  readonly text: string;
  readonly answer: unknown;
}

async function ask(url: string, { token, signal }: SendOptions, init: RequestInit = {}): Promise<Answered> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (init.body !== undefined) headers['content-type'] = 'application/json';
  if (token !== '') headers.authorization = `Bearer ${token}`;
  const response = await fetch(url, { ...init, headers, signal, redirect: 'error' });
  const body = await response.text();
  const text = `${response.status} ${response.statusText}`.trim();
  return { status: response.status, isGood: response.ok, text, answer: parsed(body) };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

const field = (value: unknown, ...names: readonly string[]): unknown =>
  typeof value === 'object' && value !== null
    ? names.map((name) => (value as Record<string, unknown>)[name]).find((found) => found !== undefined && found !== '')
    : undefined;

function idOf(answer: unknown): string | undefined {
  const id = field(answer, 'task_id', 'instanceId', 'id');
  return typeof id === 'string' ? id : undefined;
}

/** Over its limit: 200, as restful-functions answers it. */
const isRefused = (answer: unknown): boolean => field(answer, 'success') === false;

function taskSeen(answer: unknown): Seen {
  const status = String(field(answer, 'status'));
  const state = status === 'RUNNING' ? 'running' : status === 'DONE' ? 'done' : 'failed';
  return { state, text: { running: 'Running …', done: 'Done', failed: `Failed: ${status}` }[state], answer };
}

function processSeen(answer: unknown): Seen {
  const status = String(field(answer, 'status', 'state'));
  const word = status.toLowerCase();
  const state = word === 'complete' ? 'done' : word === 'failed' || word === 'cancelled' ? 'failed' : 'running';
  return { state, text: status, answer };
}
