import { parseAwsConfig, readAwsConfig } from '../../greengrass/cloud/aws/config.js';

const GOOD = { region: 'eu-west-1', accountId: '123456789012', use: ['iot', 'lambda'] };
const parse = (value: object) => parseAwsConfig(JSON.stringify(value), 'aws.json');

describe('the file of a hybrid installation', () => {
  it('needs no more than region, account and what to use', () => {
    const config = parse(GOOD);
    expect([...config.use]).toEqual(['iot', 'lambda']);
    expect(config.endpoints).toEqual({});
    expect(config.credentials).toBeUndefined();
  });

  it.each<[string, object, RegExp]>([
    ['an account that is none', { ...GOOD, accountId: '12' }, /^aws\.json: accountId: must be the twelve/],
    ['a region of China', { ...GOOD, region: 'cn-north-1' }, /region: must be a region of the partition aws/],
    ['no region', { accountId: GOOD.accountId, use: ['iot'] }, /region/],
    ['nothing to use', { ...GOOD, use: [] }, /use: must name at least one of iot, lambda/],
    ['an unknown part', { ...GOOD, use: ['dynamoDb'] }, /use\.0: must be one of iot/],
    [
      'an endpoint that is no address',
      { ...GOOD, endpoints: { iot: 'host' } },
      /endpoints\.iot: must be an ad/,
    ],
    ['a slip of the pen', { ...GOOD, endpoint: {} }, /endpoint/],
    ['half a key', { ...GOOD, credentials: { accessKeyId: 'AKIA2345678901234567' } }, /secretAccessKey/],
  ])('names the file and the member: %s', (_what, value, message) => {
    expect(() => parse(value)).toThrow(message);
  });

  it('says which file is missing or no JSON', () => {
    expect(() => readAwsConfig('/no/such/aws.json')).toThrow(/^\/no\/such\/aws\.json: can't be read/);
    expect(() => parseAwsConfig('{', 'aws.json')).toThrow(/aws\.json: is not valid JSON/);
  });
});
