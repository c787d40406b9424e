import * as sdk from '@aws-sdk/client-greengrass';
import { findVerb, optionName, verbNames } from '../../greengrass/cli/api/verbs.js';

describe('verbs', () => {
  it.each([
    ['AmznClientToken', 'amzn-client-token'],
    ['S3UrlSignerRole', 's3-url-signer-role'],
    ['tags', 'tags'],
    ['ResourceArn', 'resource-arn'],
    ['InputFileUri', 'input-file-uri'],
    ['CertificateExpiryInMilliseconds', 'certificate-expiry-in-milliseconds'],
    ['GetGroupCertificateAuthority', 'get-group-certificate-authority'],
    ['ListBulkDeploymentDetailedReports', 'list-bulk-deployment-detailed-reports'],
  ])('%s is %s', (member, name) => {
    expect(optionName(member)).toBe(name);
  });

  it('are 92, each with a command of the SDK behind it', () => {
    const names = verbNames();
    expect(names).toHaveLength(92);
    const missing = names.filter((name) => !(`${findVerb(name)?.operation}Command` in sdk));
    expect(missing).toEqual([]);
  });

  it('know which options are required', () => {
    const required = findVerb('create-deployment')?.options.filter((option) => option.required);
    expect(required?.map(({ name }) => name)).toEqual(['deployment-type', 'group-id']);
    expect(findVerb('create-thing')).toBeUndefined();
  });

  it('page 19 lists, each by the member that holds its items', () => {
    const paged = verbNames().flatMap((name) => findVerb(name)?.paging?.resultKey ?? []);
    expect(paged).toHaveLength(19);
    expect(new Set(paged)).toEqual(
      new Set(['Definitions', 'Versions', 'Groups', 'Deployments', 'BulkDeployments']),
    );
    expect(findVerb('list-group-certificate-authorities')?.paging).toBeUndefined();
  });
});
