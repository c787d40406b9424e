/** The core's certificate, key and CA, read from where config.json says and checked; daemon and OTA agent share it. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { matchesPrivateKey } from '../lib/x509.js';
import type { CoreConfig } from '../model/core-config.js';

export interface CoreCredentials {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** Throws an Error that names the file and what it is for. */
export function readPem(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(
      `${what} ${path} can't be read (${(error as NodeJS.ErrnoException).code}): check config.json`,
      { cause: error },
    );
  }
}

/** Throws where a file is missing, or certificate and key do not belong together. */
export function readCredentials({ caPath, certificatePath, privateKeyPath }: CoreConfig): CoreCredentials {
  const credentials = {
    caPem: readPem(caPath, 'CA file'),
    certPem: readPem(certificatePath, 'certificate'),
    keyPem: readPem(privateKeyPath, 'private key'),
  };
  checkPair(credentials, `certificate ${certificatePath} and private key ${privateKeyPath}`);
  return credentials;
}

/** A certificate without its key would only be found out by the cloud, as a refused handshake. */
function checkPair({ certPem, keyPem }: { certPem: string; keyPem: string }, names: string): void {
  let belong: boolean;
  try {
    belong = matchesPrivateKey(certPem, createPrivateKey(keyPem));
  } catch (error) {
    throw new Error(`${names}: not PEM files of a certificate and a key (${(error as Error).message})`, {
      cause: error,
    });
  }
  if (!belong) throw new Error(`${names} do not belong together: check config.json`);
}
