/** The body that a form stands for: fields that are left empty are not sent. */
export function bodyOf(form: HTMLFormElement): { readonly body: unknown; readonly problem?: string } {
  const controls = form.querySelectorAll<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>('[data-type]');
  const body: Record<string, unknown> = {};
  for (const control of controls) {
    const { type, name = '' } = control.dataset;
    const isEmpty = control.value.trim() === '';
    const parsed = parsedAs(type, control.value);
    const isWrong = !isEmpty && 'problem' in parsed;
    control.setAttribute('aria-invalid', String(isWrong));
    if (isWrong) {
      control.focus();
      return { body: undefined, problem: `${name || 'The body'} is no JSON: ${parsed.problem}` };
    }
    if (type === 'body') return { body: 'value' in parsed ? parsed.value : {} };
    if (!isEmpty && 'value' in parsed) Object.defineProperty(body, name, { value: parsed.value, enumerable: true });
  }
  return { body };
}

function parsedAs(type: string | undefined, text: string): { readonly value: unknown } | { readonly problem: string } {
  if (type === 'text') return { value: text };
  // A browser takes `.5` and `007` for numbers, JSON does not.
  if (type === 'number') return { value: Number(text) };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
