import {
  AssociateRoleToGroupCommand,
  AssociateServiceRoleToAccountCommand,
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  type CreateDeploymentCommandInput,
  CreateGroupCertificateAuthorityCommand,
  CreateGroupCommand,
  DeleteGroupCommand,
  DisassociateRoleFromGroupCommand,
  DisassociateServiceRoleFromAccountCommand,
  GetAssociatedRoleCommand,
  GetConnectivityInfoCommand,
  GetDeploymentStatusCommand,
  GetGroupCertificateAuthorityCommand,
  GetServiceRoleForAccountCommand,
  type GreengrassClient,
  ListDeploymentsCommand,
  ListGroupCertificateAuthoritiesCommand,
  ResetDeploymentsCommand,
  UpdateConnectivityInfoCommand,
} from '@aws-sdk/client-greengrass';
import { Cloud, refusalOf } from './harness.js';

const NOBODY = '7b0bdeae-54c7-47cf-9f93-561e672efd9c';

let cloud: Cloud;
let greengrass: GreengrassClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  greengrass = cloud.greengrass();
});
afterAll(async () => {
  greengrass.destroy();
  await cloud.stop();
});

async function groupWithCore(): Promise<{ GroupId: string; GroupVersionId: string }> {
  const cores = await greengrass.send(
    new CreateCoreDefinitionCommand({
      InitialVersion: {
        Cores: [
          {
            Id: 'core',
            ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
            CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
          },
        ],
      },
    }),
  );
  const group = await greengrass.send(
    new CreateGroupCommand({
      Name: 'g',
      InitialVersion: { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' },
    }),
  );
  return { GroupId: group.Id ?? '', GroupVersionId: group.LatestVersion ?? '' };
}

function deploy(input: Omit<CreateDeploymentCommandInput, 'DeploymentType'> & { DeploymentType?: string }) {
  const full = { DeploymentType: 'NewDeployment', ...input } as CreateDeploymentCommandInput;
  return greengrass.send(new CreateDeploymentCommand(full));
}

async function statusOf(GroupId: string, DeploymentId: string | undefined) {
  return greengrass.send(new GetDeploymentStatusCommand({ GroupId, DeploymentId }));
}

describe('CreateDeployment', () => {
  beforeEach(() => {
    cloud.deployer.outcome = 'InProgress';
  });

  it('is in progress by the next call, and ends as the core says', async () => {
    const group = await groupWithCore();
    const made = await deploy(group);
    expect(made.$metadata.httpStatusCode).toBe(200);
    expect(made.DeploymentArn).toMatch(
      new RegExp(`:/greengrass/groups/${group.GroupId}/deployments/${made.DeploymentId}$`),
    );
    expect(await statusOf(group.GroupId, made.DeploymentId)).toMatchObject({
      DeploymentStatus: 'InProgress',
      DeploymentType: 'NewDeployment',
      UpdatedAt: expect.stringMatching(/Z$/),
    });
    await cloud.deployer.finish(made.DeploymentId ?? '', 'Failure');
    expect(await statusOf(group.GroupId, made.DeploymentId)).toMatchObject({
      DeploymentStatus: 'Failure',
      ErrorMessage: 'scripted',
      ErrorDetails: [{ DetailedErrorCode: 'X', DetailedErrorMessage: 'scripted' }],
    });
  });

  it('looks at type, deployment id, group, version and core, in this order', async () => {
    const type = deploy({ GroupId: NOBODY, DeploymentType: 'Wrong' });
    expect(await refusalOf(type)).toEqual({
      status: 400,
      type: 'InvalidInputException',
      message:
        'That deployment type is not valid.  Please specify one of the following types: {NewDeployment,Redeployment,ResetDeployment,ForceResetDeployment}.',
    });
    const noId = deploy({ GroupId: NOBODY, DeploymentType: 'Redeployment' });
    expect((await refusalOf(noId)).message).toBe(
      'Your request is missing the following required parameter(s): {DeploymentId}.',
    );
    const wrongId = deploy({ GroupId: NOBODY, DeploymentType: 'Redeployment', DeploymentId: NOBODY });
    expect((await refusalOf(wrongId)).message).toBe(`Deployment ID '${NOBODY}' is invalid.`);
    const noGroup = deploy({ GroupId: NOBODY, GroupVersionId: NOBODY });
    expect(await refusalOf(noGroup)).toEqual({
      status: 404,
      type: 'ResourceNotFoundException',
      message: 'That group definition does not exist.',
    });
    const { GroupId } = await groupWithCore();
    expect(await refusalOf(deploy({ GroupId, GroupVersionId: NOBODY }))).toEqual({
      status: 404,
      type: 'ResourceNotFoundException',
      message: `Version ${NOBODY} of Group Definition ${GroupId} does not exist.`,
    });
    const empty = await greengrass.send(new CreateGroupCommand({ Name: 'no core' }));
    const coreless = deploy({ GroupId: empty.Id, GroupVersionId: empty.LatestVersion ?? '' });
    expect(await refusalOf(coreless)).toEqual({
      status: 400,
      type: 'MissingCoreException',
      message:
        '{"ErrorDetails":[{"DetailedErrorCode":"GG-303","DetailedErrorMessage":"You need a Greengrass Core in this Group before you can deploy."}]}',
    });
  });

  it('takes the place of a deployment that waits for its core', async () => {
    const group = await groupWithCore();
    const first = await deploy(group);
    const second = await deploy(group);
    const old = await statusOf(group.GroupId, first.DeploymentId);
    expect(old.DeploymentStatus).toBe('Failure');
    expect(old.ErrorMessage).toContain(`superseded by deployment ${second.DeploymentId}`);
    expect(await statusOf(group.GroupId, second.DeploymentId)).toMatchObject({
      DeploymentStatus: 'InProgress',
    });
  });

  it('leaves the waiting deployment alone where the newer one can not be built', async () => {
    const group = await groupWithCore();
    const first = await deploy(group);
    cloud.deployer.outcome = 'Failure';
    const second = await deploy(group);
    expect(await statusOf(group.GroupId, second.DeploymentId)).toMatchObject({ DeploymentStatus: 'Failure' });
    expect(await statusOf(group.GroupId, first.DeploymentId)).toMatchObject({
      DeploymentStatus: 'InProgress',
    });
  });

  it('many at once leave one open', async () => {
    const group = await groupWithCore();
    await Promise.all(Array.from({ length: 5 }, () => deploy(group)));
    const { Deployments = [] } = await greengrass.send(
      new ListDeploymentsCommand({ GroupId: group.GroupId }),
    );
    const states = await Promise.all(
      Deployments.map(({ DeploymentId }) => statusOf(group.GroupId, DeploymentId)),
    );
    expect(states.map((state) => state.DeploymentStatus)).toEqual([
      'InProgress',
      'Failure',
      'Failure',
      'Failure',
      'Failure',
    ]);
  });

  it('repeats the version of an earlier deployment under a new id', async () => {
    const group = await groupWithCore();
    const first = await deploy(group);
    const again = await deploy({
      GroupId: group.GroupId,
      DeploymentType: 'Redeployment',
      DeploymentId: first.DeploymentId ?? '',
    });
    expect(again.DeploymentId).not.toBe(first.DeploymentId);
    expect(cloud.deployer.deployed.at(-1)).toMatchObject({
      type: 'Redeployment',
      groupVersionId: group.GroupVersionId,
    });
  });

  it('with the same token and parameters makes one deployment', async () => {
    const group = await groupWithCore();
    const first = await deploy({ ...group, AmznClientToken: 'deploy-once' });
    const second = await deploy({ ...group, AmznClientToken: 'deploy-once' });
    expect(second.DeploymentId).toBe(first.DeploymentId);
  });
});

describe('ListDeployments and GetDeploymentStatus', () => {
  it('list the newest first, with the ARN of the group version', async () => {
    const group = await groupWithCore();
    await deploy(group);
    const last = await deploy(group);
    const { Deployments = [], NextToken } = await greengrass.send(
      new ListDeploymentsCommand({ GroupId: group.GroupId, MaxResults: '1' }),
    );
    expect(Deployments).toEqual([
      {
        CreatedAt: expect.stringMatching(/Z$/),
        DeploymentArn: last.DeploymentArn,
        DeploymentId: last.DeploymentId,
        DeploymentType: 'NewDeployment',
        GroupArn: expect.stringMatching(
          new RegExp(`/groups/${group.GroupId}/versions/${group.GroupVersionId}$`),
        ),
      },
    ]);
    expect(NextToken).toBeDefined();
    const unknown = await greengrass.send(new ListDeploymentsCommand({ GroupId: NOBODY }));
    expect(unknown.Deployments).toEqual([]);
  });

  it("refuse another group's deployment", async () => {
    const group = await groupWithCore();
    const { DeploymentId } = await deploy(group);
    expect(await refusalOf(statusOf(NOBODY, DeploymentId))).toEqual({
      status: 400,
      type: 'InvalidInputException',
      message: `Deployment '${DeploymentId}' does not exist.`,
    });
  });
});

describe('ResetDeployments', () => {
  const reset = (GroupId: string, Force?: boolean) =>
    greengrass.send(new ResetDeploymentsCommand({ GroupId, ...(Force === undefined ? {} : { Force }) }));

  it('is refused for a group that is unknown, was never deployed or is being deployed', async () => {
    expect(await refusalOf(reset(NOBODY))).toEqual({
      status: 404,
      type: 'ResourceNotFoundException',
      message: 'That Group Definition does not exist.',
    });
    const group = await groupWithCore();
    expect(await refusalOf(reset(group.GroupId))).toEqual({
      status: 404,
      type: 'ResourceNotFoundException',
      message: `Group id: ${group.GroupId} has not been deployed or has already been reset.`,
    });
    await deploy(group);
    expect(await refusalOf(reset(group.GroupId))).toMatchObject({
      status: 400,
      type: 'ConcurrentDeployment',
    });
  });

  it('undoes a deployment: the group can be deleted only then', async () => {
    const group = await groupWithCore();
    const { DeploymentId = '' } = await deploy(group);
    await cloud.deployer.finish(DeploymentId, 'Success');
    const remove = new DeleteGroupCommand({ GroupId: group.GroupId });
    expect(await refusalOf(greengrass.send(remove))).toMatchObject({
      status: 400,
      message: expect.stringContaining('Reset its deployments first'),
    });
    const made = await reset(group.GroupId);
    expect(await statusOf(group.GroupId, made.DeploymentId)).toMatchObject({
      DeploymentStatus: 'InProgress',
      DeploymentType: 'ResetDeployment',
    });
    await cloud.deployer.finish(made.DeploymentId ?? '', 'Success');
    const { Deployments = [] } = await greengrass.send(
      new ListDeploymentsCommand({ GroupId: group.GroupId }),
    );
    expect(Deployments[0]?.GroupArn).toMatch(new RegExp(`/groups/${group.GroupId}$`));
    expect((await refusalOf(reset(group.GroupId))).message).toContain('has already been reset');
    await greengrass.send(remove);
  });

  it('with Force works in any state and ends what is under way', async () => {
    const group = await groupWithCore();
    await reset(group.GroupId, true);
    const open = await deploy(group);
    const made = await reset(group.GroupId, true);
    expect(await statusOf(group.GroupId, open.DeploymentId)).toMatchObject({ DeploymentStatus: 'Failure' });
    expect(await statusOf(group.GroupId, made.DeploymentId)).toMatchObject({
      DeploymentStatus: 'Success',
      DeploymentType: 'ForceResetDeployment',
    });
    expect((await deploy(group)).DeploymentId).toBeDefined();
  });
});

describe('certificate authorities of groups', () => {
  it('are made, rotated, listed and read', async () => {
    const { GroupId } = await groupWithCore();
    const list = async () =>
      (await greengrass.send(new ListGroupCertificateAuthoritiesCommand({ GroupId })))
        .GroupCertificateAuthorities ?? [];
    const [first] = await list();
    expect(first?.GroupCertificateAuthorityId).toMatch(/^[0-9a-f]{64}$/);
    const made = await greengrass.send(new CreateGroupCertificateAuthorityCommand({ GroupId }));
    const both = await list();
    expect(both).toHaveLength(2);
    expect(both[0]?.GroupCertificateAuthorityArn).toBe(made.GroupCertificateAuthorityArn);
    const got = await greengrass.send(
      new GetGroupCertificateAuthorityCommand({
        GroupId,
        CertificateAuthorityId: first?.GroupCertificateAuthorityId,
      }),
    );
    expect(got.PemEncodedCertificate).toMatch(
      /^-----BEGIN CERTIFICATE-----\n[\s\S]*\n-----END CERTIFICATE-----\n$/,
    );
    const unknown = new GetGroupCertificateAuthorityCommand({ GroupId, CertificateAuthorityId: 'x' });
    expect(await refusalOf(greengrass.send(unknown))).toMatchObject({ status: 404 });
  });

  it('sign server certificates for 7 to 30 days, written as numbers', async () => {
    // Without an SDK: theirs turn the numbers into strings, and warn.
    const unsigned = await Cloud.start({ auth: 'none' });
    const send = async (method: string, path: string, body?: object) => {
      const init = { method, ...(body ? { body: JSON.stringify(body) } : {}) };
      return (await fetch(`${unsigned.url}/greengrass/groups${path}`, init)).json() as Promise<{
        Id: string;
      }>;
    };
    const { Id } = await send('POST', '', { Name: 'g' });
    const path = `/${Id}/certificateauthorities/configuration/expiry`;
    const expected = {
      CertificateAuthorityExpiryInMilliseconds: 2524607999000,
      CertificateExpiryInMilliseconds: 604800000,
      GroupId: Id,
    };
    expect(await send('GET', path)).toEqual(expected);
    const month = { ...expected, CertificateExpiryInMilliseconds: 2592000000 };
    expect(await send('PUT', path, { CertificateExpiryInMilliseconds: '2592000000' })).toEqual(month);
    for (const wrong of ['604799999', '2592000001', 'x']) {
      const refused = await send('PUT', path, { CertificateExpiryInMilliseconds: wrong });
      expect(refused).toHaveProperty('Message');
    }
    expect(await send('GET', path)).toEqual(month);
    await unsigned.stop();
  });
});

describe('roles', () => {
  const RoleArn = 'arn:aws:iam::123456789012:role/greengrass-role';

  it('of a group: nobody looks whether the group exists', async () => {
    const put = await greengrass.send(new AssociateRoleToGroupCommand({ GroupId: NOBODY, RoleArn }));
    expect(put.AssociatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(await greengrass.send(new GetAssociatedRoleCommand({ GroupId: NOBODY }))).toMatchObject({
      RoleArn,
      AssociatedAt: put.AssociatedAt,
    });
    const wrong = new AssociateRoleToGroupCommand({ GroupId: NOBODY, RoleArn: 'nobody' });
    expect(await refusalOf(greengrass.send(wrong))).toMatchObject({ message: 'That role ARN is invalid.' });
    for (let n = 0; n < 2; n++) {
      const gone = await greengrass.send(new DisassociateRoleFromGroupCommand({ GroupId: NOBODY }));
      expect(gone.DisassociatedAt).toMatch(/Z$/);
    }
    const none = greengrass.send(new GetAssociatedRoleCommand({ GroupId: NOBODY }));
    expect(await refusalOf(none)).toMatchObject({
      status: 404,
      message: 'You need to attach an IAM role to this deployment group.',
    });
  });

  it('of the account', async () => {
    expect(await refusalOf(greengrass.send(new GetServiceRoleForAccountCommand({})))).toMatchObject({
      status: 404,
    });
    await greengrass.send(new AssociateServiceRoleToAccountCommand({ RoleArn }));
    expect((await greengrass.send(new GetServiceRoleForAccountCommand({}))).RoleArn).toBe(RoleArn);
    await greengrass.send(new DisassociateServiceRoleFromAccountCommand({}));
    expect(await refusalOf(greengrass.send(new GetServiceRoleForAccountCommand({})))).toMatchObject({
      status: 404,
    });
  });
});

describe('connectivity information', () => {
  it('is replaced as a whole, up to ten addresses', async () => {
    const put = (count: number) =>
      greengrass.send(
        new UpdateConnectivityInfoCommand({
          ThingName: 'core',
          ConnectivityInfo: Array.from({ length: count }, (_, n) => ({
            Id: `AUTOIP_10.0.0.${n}_0`,
            HostAddress: `10.0.0.${n}`,
            PortNumber: 8883,
            Metadata: '',
          })),
        }),
      );
    const get = () => greengrass.send(new GetConnectivityInfoCommand({ ThingName: 'core' }));
    expect(await refusalOf(get())).toMatchObject({
      status: 404,
      message: 'We do not have connectivity information for this GGC.',
    });
    const first = await put(2);
    expect((await put(10)).Version).not.toBe(first.Version);
    expect(await refusalOf(put(11))).toMatchObject({
      status: 400,
      message:
        'Too many items in the Connectivity Information list. You can store a maximum of 10 endpoints.',
    });
    expect((await get()).ConnectivityInfo).toHaveLength(10);
  });
});
