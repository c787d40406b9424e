/**
 * Group document → functions as they will run: identity, isolation, resources, code folder. Everything that can be
 * wrong with them on this host is found here, before anything is touched.
 */
import { existsSync } from 'node:fs';
import type { CoreConfig } from '../model/core-config.js';
import { DEFAULT_TIMEOUT_S } from '../model/function-config.js';
import type { GroupDocument, GroupFunction } from '../model/group.js';
import { isolationOf, runAsOf, userFunctions } from '../model/group-checks.js';
import { DeploymentError } from './errors.js';
import { resolveRunAs } from './isolation/run-as.js';
import type { DeployedFunction } from './lambda/deployed-function.js';
import { resolveLocalResources } from './resources/local-resources.js';
import { resolveModels } from './resources/models.js';

/** `codeFolders`: unzipped code by function ARN. Throws DeploymentError. */
export function deployedFunctions(
  group: GroupDocument,
  codeFolders: ReadonlyMap<string, string>,
  config: CoreConfig,
): DeployedFunction[] {
  return userFunctions(group).map((groupFunction) => deployed(group, groupFunction, codeFolders, config));
}

function deployed(
  group: GroupDocument,
  groupFunction: GroupFunction,
  codeFolders: ReadonlyMap<string, string>,
  config: CoreConfig,
): DeployedFunction {
  const { FunctionArn: arn, DeploymentConfiguration: settings } = groupFunction;
  const codeFolder = codeFolders.get(arn);
  if (codeFolder === undefined || !settings.Runtime || !(settings.Executable || settings.Handler)) {
    throw new DeploymentError(
      'GroupConfigInvalid',
      `group config is invalid: function ${arn} has no code, runtime or handler`,
    );
  }
  if (!existsSync(codeFolder)) {
    throw new DeploymentError(
      'GroupConfigInvalid',
      `Unable to create server due to: failed to load group: the code of ${arn} is not on the disk (${codeFolder}). Deploy the group again.`,
    );
  }
  const identity = resolveRunAs(runAsOf(group, groupFunction), {
    functionArn: arn,
    allowRoot: config.allowFunctionsToRunAsRoot,
  });
  const isolation = isolationOf(group, groupFunction);
  const resources = resolveLocalResources(
    group.GroupDefinitions.Resources.Content,
    settings.Environment?.ResourceAccessPolicies ?? [],
    identity,
  );
  const models = resolveModels(
    group,
    groupFunction,
    { uid: identity.uid, gids: [identity.gid, ...resources.additionalGids] },
    config.writeDirectory,
  );
  const gids = new Set([...resources.additionalGids, ...models.gids]);
  gids.delete(identity.gid);
  return {
    arn,
    runtime: settings.Runtime,
    handler: settings.Executable || settings.Handler || '',
    execArgs: settings.ExecArgs ? settings.ExecArgs.split(/\s+/).filter((word) => word !== '') : [],
    pinned: settings.Pinned === true,
    timeoutMs: (settings.Timeout ?? DEFAULT_TIMEOUT_S) * 1000,
    encoding: settings.EncodingType ?? 'json',
    environment: settings.Environment?.Variables ?? {},
    isolation,
    uid: identity.uid,
    gid: identity.gid,
    devices: resources.devices,
    mounts: [...resources.mounts, ...models.mounts],
    additionalGids: [...gids],
    ...(models.prefix === undefined ? {} : { resourcePrefix: models.prefix }),
    ...(isolation === 'GreengrassContainer' && settings.MemorySize ? { memoryKb: settings.MemorySize } : {}),
    accessSysfs: settings.Environment?.AccessSysfs === true,
    codeFolder,
  };
}
