/**
 * The service role of the account and the roles of groups. Nobody looks whether a role, or even the group, exists: so
 * did V1's service. Times are without milliseconds.
 */
import type { AssociateRoleToGroupRequest } from '@aws-sdk/client-greengrass';
import type { ApiContext } from './context.js';
import { refusal, untypedRefusal } from './errors.js';
import type { Call, Operation } from './operation.js';
import { body } from './request-shapes.js';

export const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/;
const association = body<AssociateRoleToGroupRequest>('AssociateRoleToGroup');
const ACCOUNT_SCOPE = 'account';

export function roleOperations({ store }: ApiContext): Operation[] {
  const roles = (
    suffix: [string, string, string],
    path: string,
    scopeOf: (call: Call) => string,
    none: string,
  ) => {
    const [associate, get, disassociate] = suffix;
    const operations: Operation[] = [
      {
        name: associate,
        method: 'PUT',
        path,
        handle: async (call) => {
          const { RoleArn: roleArn = '' } = call.json(association);
          if (!ROLE_ARN.test(roleArn)) throw refusal('BadRequestException', 'That role ARN is invalid.');
          const associatedAt = nowInSeconds();
          await store.roles.put(scopeOf(call), { roleArn, associatedAt });
          return { AssociatedAt: associatedAt };
        },
      },
      {
        name: get,
        method: 'GET',
        path,
        handle: async (call) => {
          const role = await store.roles.find(scopeOf(call));
          if (!role) throw untypedRefusal(404, none);
          return { AssociatedAt: role.associatedAt, RoleArn: role.roleArn };
        },
      },
      {
        name: disassociate,
        method: 'DELETE',
        path,
        handle: async (call) => {
          await store.roles.delete(scopeOf(call));
          return { DisassociatedAt: nowInSeconds() };
        },
      },
    ];
    return operations;
  };
  return [
    ...roles(
      ['AssociateRoleToGroup', 'GetAssociatedRole', 'DisassociateRoleFromGroup'],
      '/greengrass/groups/:groupId/role',
      groupScope,
      'You need to attach an IAM role to this deployment group.',
    ),
    ...roles(
      ['AssociateServiceRoleToAccount', 'GetServiceRoleForAccount', 'DisassociateServiceRoleFromAccount'],
      '/greengrass/servicerole',
      () => ACCOUNT_SCOPE,
      'You need to attach a service role to this account.',
    ),
  ];
}

function groupScope(call: Call): string {
  const groupId = call.param('groupId');
  if (/^[a-zA-Z0-9-]{1,128}$/.test(groupId) && groupId !== ACCOUNT_SCOPE) return groupId;
  throw refusal('BadRequestException', `"${groupId}" is not the id of a group`);
}

function nowInSeconds(): string {
  return new Date().toISOString().replace(/\.\d{3}Z$/, 'Z');
}
