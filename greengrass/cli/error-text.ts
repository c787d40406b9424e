/** What to print of an error that ends a verb. */

/** On a core device gg comes without the packages that speak to the cloud: `dev/package.mjs` leaves them out. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' && /'@aws-sdk\//.test(error.message))
    return 'this verb speaks to the cloud, and the gg of a core device has no AWS SDK: run it where greengrass-cloud is installed';
  return error.message;
}
