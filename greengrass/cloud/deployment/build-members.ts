/** The cores and devices of a group: their things, certificates and shadows. */
import { certificateIdOfArn, thingNameOf } from '../../model/arn.js';
import type { GroupMember } from '../../model/group.js';
import type { GroupProblem } from '../../model/group-checks.js';
import { type ShadowSyncMember, shadowSyncMemberOf } from '../../model/shadow-sync.js';
import type { Store } from '../store/store.js';
import type { MemberEntry } from './definition-reader.js';

/** As the group document spells it. */
export function toMember({ ThingArn, CertificateArn }: MemberEntry): GroupMember {
  return { thingArn: ThingArn, certArn: CertificateArn };
}

export class MemberBuilder {
  constructor(private readonly store: Pick<Store, 'things' | 'certificates'>) {}

  /** How the shadows of each thing are synced: SyncShadow, and attributes of the thing for what V1's API has no member for. */
  async shadowSync(
    members: ReadonlyArray<MemberEntry>,
    problems: GroupProblem[],
  ): Promise<ShadowSyncMember[]> {
    const synced: ShadowSyncMember[] = [];
    for (const { ThingArn } of members.filter(({ SyncShadow }) => SyncShadow)) {
      const thing = await this.store.things.find(thingNameOf(ThingArn) ?? '');
      const made = shadowSyncMemberOf(ThingArn, thing?.attributes ?? {});
      if ('problem' in made) problems.push({ code: 'GROUP_DEFINITION_ERROR', message: made.problem });
      else synced.push(made);
    }
    return synced;
  }

  /** Answers the ARNs of the certificates that are ACTIVE; devices with another one are not let in. */
  async check(members: ReadonlyArray<MemberEntry>, problems: GroupProblem[]): Promise<Set<string>> {
    const { store } = this;
    const active = new Set<string>();
    const found = await Promise.all(
      members.map(async ({ ThingArn, CertificateArn }) => {
        const [thing, certificate] = await Promise.all([
          store.things.find(thingNameOf(ThingArn) ?? ''),
          store.certificates.find(certificateIdOfArn(CertificateArn) ?? ''),
        ]);
        return { ThingArn, CertificateArn, thing, certificate };
      }),
    );
    for (const { ThingArn, CertificateArn, thing, certificate } of found) {
      if (thing?.thingArn !== ThingArn) {
        problems.push({ code: 'THING_NOT_FOUND_ERROR', message: `Thing ${ThingArn} does not exist` });
      }
      if (certificate?.certificateArn !== CertificateArn) {
        problems.push({
          code: 'THING_CERT_NOT_FOUND_ERROR',
          message: `Certificate ${CertificateArn} of thing ${ThingArn} does not exist`,
        });
      }
      if (certificate?.status === 'ACTIVE') active.add(CertificateArn);
    }
    return active;
  }
}
