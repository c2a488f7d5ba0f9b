/** Holds when it returns true; a text says why it does not. */
export default ({ body }: { readonly body: { readonly name?: string } }): true | string =>
  body.name !== body.name?.toUpperCase() || 'do not shout';
