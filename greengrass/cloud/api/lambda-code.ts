/** The code of functions: what a zip must be to be kept, and the address it can be fetched from. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import yauzl from 'yauzl';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { type Call, type Operation, Reply } from './operation.js';

/** Lambda's quotas. */
const MAX_ZIP_BYTES = 50 * 1024 * 1024;
const MAX_UNZIPPED_BYTES = 262_144_000;
/** More entries than any honest bundle has. */
const MAX_ENTRIES = 100_000;
/** How long an address of GetFunction is good, in seconds. */
const LOCATION_LIFE_S = 600;

/** Decodes the base64 of ZipFile and checks that it is a zip that may be unpacked. Throws Lambda's errors. */
export async function readZip(base64: string): Promise<Buffer> {
  const zip = Buffer.from(base64, 'base64');
  if (zip.length > MAX_ZIP_BYTES) {
    throw refusal('InvalidParameterValueException', `The zip is larger than ${MAX_ZIP_BYTES} bytes.`);
  }
  const unzippedBytes = await unzippedSize(zip).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw refusal(
      'InvalidParameterValueException',
      `Could not unzip uploaded file. Please check your file, then try to upload again. (${reason})`,
    );
  });
  if (unzippedBytes > MAX_UNZIPPED_BYTES) {
    throw refusal(
      'InvalidParameterValueException',
      `Unzipped size must be smaller than ${MAX_UNZIPPED_BYTES} bytes`,
    );
  }
  return zip;
}

/** Reads the directory of the zip; yauzl refuses names that climb out. */
function unzippedSize(zip: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    yauzl.fromBuffer(zip, { lazyEntries: true, strictFileNames: true }, (error, file) => {
      if (error) return reject(error);
      if (file.entryCount === 0) return reject(new Error('it is empty'));
      if (file.entryCount > MAX_ENTRIES) return reject(new Error(`more than ${MAX_ENTRIES} entries`));
      let total = 0;
      file.on('error', reject);
      file.on('end', () => resolve(total));
      file.on('entry', (entry: yauzl.Entry) => {
        total += entry.uncompressedSize;
        file.readEntry();
      });
      file.readEntry();
    });
  });
}

/** An address for the artifact that needs no signature: it carries a proof and ends after ten minutes. */
export function codeLocation(context: ApiContext, call: Call, sha256Hex: string): string {
  const expires = Math.floor(Date.now() / 1000) + LOCATION_LIFE_S;
  const proof = proofOf(context, sha256Hex, String(expires)).toString('base64url');
  return `http://${call.host.authority}/lambda-code/${sha256Hex}?expires=${expires}&proof=${proof}`;
}

/** Where codeLocation points to. */
export function codeOperation(context: ApiContext): Operation {
  return {
    name: 'GetFunctionCode',
    method: 'GET',
    path: '/lambda-code/:sha256',
    isPublic: true,
    handle: async (call) => {
      const sha256 = call.param('sha256');
      const expires = call.query('expires') ?? '';
      const given = Buffer.from(call.query('proof') ?? '', 'base64url');
      const expected = proofOf(context, sha256, expires);
      const isProven = given.length === expected.length && timingSafeEqual(given, expected);
      const size = isProven ? await context.artifacts.size(sha256) : undefined;
      if (size === undefined || Number(expires) * 1000 < Date.now()) {
        throw refusal('UnrecognizedClientException', 'The address of the code is wrong or has expired.');
      }
      return new Reply('application/zip', context.artifacts.read(sha256), size);
    },
  };
}

function proofOf({ codeLocationKey }: ApiContext, sha256Hex: string, expires: string): Buffer {
  return createHmac('sha256', codeLocationKey).update(`${sha256Hex} ${expires}`).digest();
}
