/** What the codes in a deployment's ErrorDetails mean, and what to do. The codes are stable; users search for them. */
export interface Explanation {
  readonly meaning: string;
  readonly advice: string;
}

const explain = (meaning: string, advice: string): Explanation => ({ meaning, advice });

export const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  DocumentDownloadFailed: explain(
    'The core could not fetch the group document.',
    'Look whether ggHost and ggHttpPort in config.json lead to the cloud, and whether the certificate of the core is ACTIVE.',
  ),
  DocumentDigestMismatch: explain(
    'The group document is not the one that the deployment was made with.',
    'Deploy again. If it comes back, something between cloud and core changes what is sent.',
  ),
  DocumentInvalid: explain(
    'The core does not understand the group document.',
    'Is the cloud newer than the core? Update the core; the message names the member that does not fit.',
  ),
  ArtifactDownloadFailed: explain(
    'The core could not fetch the code of a function.',
    'Deploy again: the download goes on where it ended. If it fails at once, the cloud has lost the code: publish the function again.',
  ),
  ArtifactDigestMismatch: explain(
    'The code that arrived is not the code that was published.',
    "Publish the function again. If it comes back, check the cloud's disk and what stands between cloud and core.",
  ),
  ArtifactUnsafe: explain(
    'The zip of a function, or the archive of a model, was refused: it leads out of its folder, holds links that do, or is no archive.',
    'Make it anew from plain files and folders (a function: gg lambda publish FOLDER).',
  ),
  ArtifactTooLarge: explain(
    'The code of a function is larger than the limit for unpacked code.',
    'Leave out what the function does not need, or bring large files with a local volume resource.',
  ),
  NotEnoughDiskSpace: explain(
    'The disk of the core has no room for the deployment; the message says how many bytes are missing.',
    'Free that much on the core (logs, old data) and deploy again.',
  ),
  GroupConfigInvalid: explain(
    'The group breaks a rule; the message names the member and the rule.',
    'Change the group, make a new version, deploy it.',
  ),
  RootNotAllowed: explain(
    'A function is to run as root, and the core does not allow it.',
    'Give the function another RunAs, or set runtime.allowFunctionsToRunAsRoot to yes in config.json and restart the core.',
  ),
  UserNotFound: explain(
    'The user or group that a function is to run as does not exist on the core.',
    'Create it (V1: ggc_user and ggc_group), or set RunAs to one that exists.',
  ),
  ResourceNotAccessible: explain(
    'A local resource is not there, or the user of the function may not use it.',
    'Look at the path on the core, at its rights, and at the GroupOwnerSetting of the resource.',
  ),
  InterpreterNotFound: explain(
    'Nothing on the core can run the runtime of a function.',
    'Install what the message names, or map the runtime in config.json (runtime.interpreters).',
  ),
  IsolationNotAvailable: explain(
    'Functions need containers, which the host does not offer.',
    'greengrassd check shows what is missing. Or run the functions with IsolationMode NoContainer.',
  ),
  ServerCertificateFailed: explain(
    'The certificate for the local MQTT server could not be obtained.',
    'The core must reach the cloud once for it, and be allowed greengrass:CreateCertificate.',
  ),
  WorkerStartFailed: explain(
    'The process of a function could not be started. The old group runs on.',
    "The function's log and runtime.log on the core say why.",
  ),
  WorkerUnhealthy: explain(
    'A pinned function ended right after its start. The old group runs on.',
    "The function's log on the core shows its last words: most often an import that fails, or a missing file.",
  ),
  StageTimedOut: explain(
    'A stage took longer than it may. The old group runs on.',
    'The message names the stage. In document and artifacts the line was too slow or down: deploy again.',
  ),
  CommitFailed: explain(
    'The new group ran but could not be written to the disk, so the old one was put back.',
    'Look for a full or read-only disk on the core, and deploy again.',
  ),
  Superseded: explain('A newer deployment took its place.', 'Nothing has to be done: look at the newer one.'),
  SUPERSEDED: explain('A newer deployment took its place.', 'Nothing has to be done: look at the newer one.'),
  INTERRUPTED: explain('The cloud stopped while the deployment was made.', 'Deploy again.'),
  InternalError: explain(
    'Something happened that the software was not made for.',
    'runtime.log of the core, or the log of the cloud, has a stack trace: please report it.',
  ),
};

export function explanationOf(code: string): Explanation {
  return (
    EXPLANATIONS[code] ??
    explain(
      'The group can not be deployed as it is; the message says why.',
      'Change the group and deploy again.',
    )
  );
}
