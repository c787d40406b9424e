/** `gg env`: what the AWS CLI and SDKs, and gg itself, need to reach the cloud, as lines for a shell. */
import type { Ready } from './connect.js';

/** Lines of `export NAME='value'`. They hold the secret access key: they are for `eval` and not for a file. */
export function environmentLines({ api, region, accessKeyId, secretAccessKey }: Ready): string {
  const variables = {
    AWS_ENDPOINT_URL: api,
    AWS_REGION: region,
    // Version 1 of the AWS CLI knows only this one.
    AWS_DEFAULT_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}=${quoted(value)}\n`)
    .join('');
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
