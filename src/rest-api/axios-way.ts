import type { Axios, AxiosRequestConfig, AxiosResponse } from 'axios';
import { checkedHeaders } from './headers.ts';
import { type EncodedBody, encodeData } from './request-body.ts';
import type { AxiosOptions } from './request-options.ts';

/** What axios was given to send, and what it gets back. */
export interface AxiosExchange {
  readonly options: AxiosOptions;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body before it is encoded, for `transformRequest`; undefined: it is encoded already. */
  readonly raw: unknown;
  /** Sends the request with the body and headers that `transformRequest` made, if there is one. */
  send(made?: { readonly body: EncodedBody; readonly headers: Readonly<Record<string, string>> }): Promise<AxiosAnswer>;
}

export type AxiosAnswer = Pick<AxiosResponse, 'data' | 'status' | 'statusText'> & {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
};

let loading: Promise<Axios> | undefined;

/** Loaded when a request has an option for it: at start that would be the half of the client's time. */
function axios(): Promise<Axios> {
  // Bare: its defaults are for browsers and for its own ways of sending.
  loading ??= import('axios').then((module) => new module.Axios({}));
  return loading;
}

/** `params` as a query, without the question mark, as `paramsSerializer` writes them. */
export async function serializedParams(
  params: unknown,
  paramsSerializer: NonNullable<AxiosOptions['paramsSerializer']>,
): Promise<string> {
  return (await axios()).getUri({ url: '', params, paramsSerializer } as AxiosRequestConfig).slice(1);
}

/** Lets axios do what its options say, with us as its adapter. @returns the body, as `transformResponse` left it */
export async function throughAxios(exchange: AxiosExchange): Promise<unknown> {
  const { options, method, url, headers, raw, send } = exchange;
  const hasTransform = options.transformRequest !== undefined;
  const config = {
    ...options,
    method,
    url,
    ...(hasTransform ? { data: raw, headers } : {}),
    adapter: async ({ data, headers: made }: Pick<AxiosRequestConfig, 'data' | 'headers'>) => {
      const answer = hasTransform
        ? await send({ body: await encodeData(data), headers: checkedHeaders({ ...made }) })
        : await send();
      return { ...answer, config: { headers: {} } } as AxiosResponse;
    },
  };
  const response = await (await axios()).request<unknown>(config as AxiosRequestConfig);
  return response.data;
}
