/** The system calls that workers may use, as a profile, and where the engine has compiled it once, as its filter. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../lib/package-root.js';

/** crun takes a compiled filter from here and leaves out 9 ms of compiling; other engines don't know it. */
const FILTER_ANNOTATION = 'run.oci.seccomp_bpf_data';

export interface SeccompProfile {
  readonly profile: object;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The profile names x86; on other machines their own architectures count. */
export function seccompProfile(filter?: Buffer): SeccompProfile {
  const profile = JSON.parse(
    readFileSync(join(PACKAGE_ROOT, 'greengrass/core/isolation/seccomp.json'), 'utf8'),
  ) as object;
  const architectures: Record<string, string[]> = {
    x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
    arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    arm: ['SCMP_ARCH_ARM'],
  };
  const own = architectures[process.arch];
  return {
    profile: own ? { ...profile, architectures: own } : profile,
    annotations: filter ? { [FILTER_ANNOTATION]: filter.toString('base64') } : {},
  };
}
