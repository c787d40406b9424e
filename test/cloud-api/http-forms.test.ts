/** What stands around the bodies of answers, as AWS's clients read it: types of content, errors of what is not served. */
import { GetRetainedMessageCommand } from '@aws-sdk/client-iot-data-plane';
import { ListTagsCommand } from '@aws-sdk/client-lambda';
import { GetRandomPasswordCommand } from '@aws-sdk/client-secrets-manager';
import { Cloud } from './harness.js';

let api: Cloud;
let open: Cloud;
beforeAll(async () => {
  api = await Cloud.start({ auth: 'sigv4' });
  open = await Cloud.start({ auth: 'none' });
});
afterAll(async () => {
  await api.stop();
  await open.stop();
});

describe('answers', () => {
  it.each<[string, string, string, number]>([
    ['GET', '/greengrass/groups', 'application/json', 200],
    ['GET', '/greengrass/groups/none', 'application/json', 404],
    ['GET', '/things', 'application/json', 200],
    ['POST', '/', 'text/xml', 400],
  ])('have the type that AWS gives them: %s %s', async (method, path, type, status) => {
    const answer = await fetch(open.url + path, { method });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, type]);
  });

  it('to operations that are not served name them, and are of the service that was asked', async () => {
    const resource = 'arn:aws:lambda:us-east-1:123456789012:function:f';
    await expect(api.lambda().send(new ListTagsCommand({ Resource: resource }))).rejects.toMatchObject({
      name: 'UnknownOperationException',
      message: expect.stringContaining('GET /2017-03-31/tags/'),
    });
    await expect(api.secrets().send(new GetRandomPasswordCommand({}))).rejects.toMatchObject({
      name: 'UnknownOperationException',
      message: expect.stringContaining('secretsmanager.GetRandomPassword'),
    });
    const retained = api.iotData().send(new GetRetainedMessageCommand({ topic: 'a/b' }));
    await expect(retained).rejects.toMatchObject({ name: 'UnknownOperationException' });
  });
});
