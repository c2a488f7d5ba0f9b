const HOST = '_SERVICE_HOST';

/**
 * Whether a variable tells of a Kubernetes Service. Each container has them of every Service of its namespace, named for
 * it: one called `svc-comm-monitor` gives `SVC_COMM_MONITOR_PORT=tcp://10.0.0.11:9464`, which is no setting of ours.
 * They come in a set (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables), of which
 * `…_SERVICE_HOST` and `…_SERVICE_PORT` are always there. What the container's own `env` says takes the place of one.
 */
export function isServiceLink(variable: string, environment: NodeJS.ProcessEnv): boolean {
  const form = FORMS.find(({ end }) => end.test(variable));
  if (!form) return false;
  const service = variable.replace(form.end, '');
  const isThere = `${service}${HOST}` in environment && `${service}_SERVICE_PORT` in environment;
  return isThere && (form.value?.test(environment[variable] ?? '') ?? true);
}

const ADDRESS = /^(tcp|udp|sctp):\/\//;

/** @param value what it must say: a setting may have the same name */
const FORMS: readonly { readonly end: RegExp; readonly value?: RegExp }[] = [
  { end: /_SERVICE_(HOST|PORT(_\w+)?)$/ },
  { end: /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/ },
  { end: /_PORT$/, value: ADDRESS },
];
