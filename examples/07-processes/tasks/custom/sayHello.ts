interface Greeting {
  readonly body: { readonly name: string; readonly times: number };
}

/** Runs where the request came in; what it returns is in the answer. */
export default function sayHello({ body }: Greeting): object {
  return { to: body.name, text: Array(body.times).fill(`hello, ${body.name}`).join('; ') };
}
