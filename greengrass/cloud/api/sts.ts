/** STS, as much of it as clients use to ask who they are. The query protocol: a form in, XML out. */
import { refusal } from './errors.js';
import { type Operation, Reply } from './operation.js';
import { escapeXml } from './services.js';

export function stsOperation({ accountId }: { readonly accountId: string }): Operation {
  return {
    name: 'GetCallerIdentity',
    method: 'POST',
    path: '/',
    isReading: true,
    isForGroupRoles: true,
    handle: async (call) => {
      const action = new URLSearchParams(call.text()).get('Action');
      if (action !== 'GetCallerIdentity') {
        throw refusal('InvalidAction', `Could not find operation ${action} for version 2011-06-15`);
      }
      const { kind, arn: callerArn } = call.principal;
      const arn = escapeXml(kind === 'anonymous' ? `arn:aws:iam::${accountId}:root` : callerArn);
      return new Reply(
        'text/xml',
        `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>${arn}</Arn><UserId>${accountId}</UserId><Account>${accountId}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
      );
    },
  };
}
