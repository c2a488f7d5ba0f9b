interface Greeting {
  readonly body: { readonly name: string };
}

/** `memory.remember`: runs in a worker, with what the process names behind the request. */
export function remember({ body }: Greeting, what: string): string {
  return `remembered the ${what} of ${body.name}`;
}
