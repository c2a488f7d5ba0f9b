/** What is known of a run. */
export interface Seen {
  readonly state: 'running' | 'done' | 'failed';
  /** A line for people. */
  readonly text: string;
  /** What was answered, as it came. */
  readonly answer?: unknown;
}

/** Shows it: never as HTML, whatever it holds. */
export function show(status: HTMLElement, answer: HTMLElement, seen: Seen): void {
  status.textContent = seen.text;
  status.dataset.state = seen.state;
  if (!('answer' in seen)) return;
  const pre = document.createElement('pre');
  pre.tabIndex = 0;
  pre.textContent = typeof seen.answer === 'string' ? seen.answer : JSON.stringify(seen.answer, null, 2);
  answer.replaceChildren(pre);
  answer.hidden = false;
}
