import { show } from './answer.ts';
import { followState } from './follow-state.ts';
import { bodyOf } from './form-body.ts';

/*
 * The script of the page for people: it makes the forms useful and the list of contents searchable. All else is in the
 * page without it. Whatever comes from outside is shown as text.
 */

const token = document.querySelector<HTMLInputElement>('#token');
for (const hidden of document.querySelectorAll<HTMLElement>('form.try, .token, .filter')) hidden.hidden = false;
for (const form of document.querySelectorAll<HTMLFormElement>('form.try')) listen(form);

const filter = document.querySelector<HTMLInputElement>('.filter input');
filter?.addEventListener('input', () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const item of document.querySelectorAll<HTMLLIElement>('.contents li')) {
    item.hidden = !(item.textContent ?? '').toLowerCase().includes(wanted);
  }
});

// On a small screen the contents would stand before everything.
if (matchMedia('(max-width: 899px)').matches) document.querySelector('.contents details')?.removeAttribute('open');

function listen(form: HTMLFormElement): void {
  let running: AbortController | undefined;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    // A second run is looked at instead of the first; neither ends by that.
    running?.abort();
    const mine = new AbortController();
    running = mine;
    const status = form.querySelector<HTMLElement>('.state');
    const answer = form.querySelector<HTMLElement>('.answer');
    if (!status || !answer) return;
    // That of the run before would be taken for this one's.
    answer.hidden = true;
    const { body, problem } = bodyOf(form);
    if (problem !== undefined) return show(status, answer, { state: 'failed', text: problem });
    show(status, answer, { state: 'running', text: 'Sent …' });
    try {
      for await (const seen of followState(form.dataset, body, { token: token?.value ?? '', signal: mine.signal })) {
        if (!mine.signal.aborted) show(status, answer, seen);
      }
    } catch (error) {
      if (!mine.signal.aborted) show(status, answer, { state: 'failed', text: `No answer: ${String(error)}` });
    }
  });
}
