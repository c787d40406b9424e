/** Lambda: functions, their code, configuration and versions. */
import { randomUUID } from 'node:crypto';
import { z } from '../../lib/check.js';
import type { LambdaVersion } from '../store/store.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { codeLocation, readZip } from './lambda-code.js';
import {
  checkRevision,
  findVersion,
  functionArn,
  functionNameOf,
  functionNotFound,
  LATEST,
  parseFunctionName,
} from './lambda-names.js';
import type { Call, Operation } from './operation.js';
import { LAMBDA_PAGES, page, pageOf } from './paging.js';

/** Lambda's limit on all variables together, in bytes. */
const MAX_ENVIRONMENT_BYTES = 4096;

const environment = z.object({
  Variables: z
    .record(z.string().regex(/^[a-zA-Z][a-zA-Z0-9_]*$/, 'is not the name of a variable'), z.string())
    .refine(
      (variables) => Buffer.byteLength(JSON.stringify(variables)) <= MAX_ENVIRONMENT_BYTES,
      `must be at most ${MAX_ENVIRONMENT_BYTES} bytes together`,
    )
    .optional(),
});
const configuration = z.object({
  /** Any runtime's name: V1's cores know more of them, and older ones, than Lambda does today. */
  Runtime: z
    .string()
    .regex(/^[a-zA-Z0-9._:/-]{1,128}$/)
    .optional(),
  Role: z
    .string()
    .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/, 'must be the ARN of a role')
    .optional(),
  Handler: z
    .string()
    .regex(/^\S{1,128}$/, 'must be 1 to 128 characters without white space')
    .optional(),
  Description: z.string().max(256).optional(),
  /** Seconds. */
  Timeout: z.number().int().min(1).max(900).optional(),
  /** MB. */
  MemorySize: z.number().int().min(128).max(10_240).optional(),
  Environment: environment.optional(),
});
type Configuration = z.output<typeof configuration>;

const creation = configuration.extend({
  FunctionName: z.string().max(256),
  Code: z.object({ ZipFile: z.string().optional() }),
  Publish: z.boolean().optional(),
});
const codeUpdate = z.object({
  ZipFile: z.string().optional(),
  Publish: z.boolean().optional(),
  DryRun: z.boolean().optional(),
  RevisionId: z.string().optional(),
});
const configurationUpdate = configuration.extend({ RevisionId: z.string().optional() });
const publication = z.object({
  CodeSha256: z.string().optional(),
  Description: z.string().max(256).optional(),
  RevisionId: z.string().optional(),
});

export function functionOperations(context: ApiContext): Operation[] {
  const functions = new Functions(context);
  const all = '/2015-03-31/functions';
  const one = `${all}/:functionName`;
  return [
    {
      name: 'CreateFunction',
      method: 'POST',
      path: all,
      status: 201,
      handle: (call) => functions.create(call),
    },
    { name: 'ListFunctions', method: 'GET', path: all, handle: (call) => functions.list(call) },
    { name: 'GetFunction', method: 'GET', path: one, handle: (call) => functions.get(call) },
    {
      name: 'DeleteFunction',
      method: 'DELETE',
      path: one,
      status: 204,
      handle: (call) => functions.delete(call),
    },
    {
      name: 'UpdateFunctionCode',
      method: 'PUT',
      path: `${one}/code`,
      handle: (call) => functions.updateCode(call),
    },
    {
      name: 'GetFunctionConfiguration',
      method: 'GET',
      path: `${one}/configuration`,
      handle: (call) => functions.configuration(call),
    },
    {
      name: 'UpdateFunctionConfiguration',
      method: 'PUT',
      path: `${one}/configuration`,
      handle: (call) => functions.updateConfiguration(call),
    },
    {
      name: 'PublishVersion',
      method: 'POST',
      path: `${one}/versions`,
      status: 201,
      handle: (call) => functions.publish(call),
    },
    {
      name: 'ListVersionsByFunction',
      method: 'GET',
      path: `${one}/versions`,
      handle: (call) => functions.listVersions(call),
    },
  ];
}

class Functions {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async create(call: Call): Promise<object> {
    const body = call.json(creation);
    const { name } = parseFunctionName(body.FunctionName, this.#context);
    const { Runtime: runtime, Handler: handler, Role: role } = body;
    if (!runtime || !handler) {
      throw refusal(
        'InvalidParameterValueException',
        'Runtime and Handler are mandatory parameters for functions created with deployment packages.',
      );
    }
    if (!role) throw refusal('InvalidParameterValueException', 'Role is missing.');
    const code = await this.#keepCode(body.Code.ZipFile);
    const latest = changed(
      { functionName: name, version: LATEST, runtime, handler, role, ...DEFAULTS, ...code, ...stamp() },
      body,
    );
    try {
      await this.#context.store.lambdas.create(latest);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      throw refusal('ResourceConflictException', `Function already exist: ${name}`);
    }
    return this.#described(latest, body.Publish);
  }

  async list(call: Call): Promise<object> {
    const versions = call.query('FunctionVersion');
    if (versions !== undefined && versions !== 'ALL') {
      throw refusal('InvalidParameterValueException', `FunctionVersion must be ALL, not "${versions}"`);
    }
    const { items, next } = await page(call, {
      scope: 'functions',
      names: LAMBDA_PAGES,
      fetch: (limit, after) => this.#context.store.lambdas.listFunctions(limit, after),
      keyOf: ({ functionName }) => functionName,
    });
    const shown = versions === 'ALL' ? await this.#withVersions(items) : items;
    const Functions = shown.map((item) => this.#describe(item, versions && item.version));
    return { Functions, ...(next === undefined ? {} : { NextMarker: next }) };
  }

  async get(call: Call): Promise<object> {
    const wanted = functionNameOf(call, this.#context);
    const version = await findVersion(this.#context, wanted);
    return {
      Configuration: this.#describe(version, wanted.qualifier),
      Code: { RepositoryType: 'S3', Location: codeLocation(this.#context, call, version.codeSha256Hex) },
    };
  }

  async configuration(call: Call): Promise<object> {
    const wanted = functionNameOf(call, this.#context);
    return this.#describe(await findVersion(this.#context, wanted), wanted.qualifier);
  }

  async updateCode(call: Call): Promise<object> {
    const body = call.json(codeUpdate);
    const latest = await this.#latest(call, body.RevisionId);
    const code = await this.#keepCode(body.ZipFile);
    const updated: LambdaVersion = { ...latest, ...code, ...stamp() };
    if (body.DryRun) return this.#describe(updated);
    await this.#context.store.lambdas.updateLatest(updated);
    return this.#described(updated, body.Publish);
  }

  async updateConfiguration(call: Call): Promise<object> {
    const body = call.json(configurationUpdate);
    const latest = await this.#latest(call, body.RevisionId);
    const updated = changed({ ...latest, ...stamp() }, body);
    await this.#context.store.lambdas.updateLatest(updated);
    return this.#describe(updated);
  }

  async publish(call: Call): Promise<object> {
    const { CodeSha256, Description, RevisionId } = call.json(publication);
    const latest = await this.#latest(call, RevisionId);
    const current = base64(latest.codeSha256Hex);
    if (CodeSha256 !== undefined && CodeSha256 !== current) {
      throw refusal(
        'InvalidParameterValueException',
        `CodeSHA256 (${CodeSha256}) is different from current CodeSHA256 in $LATEST (${current}). Please try again with the CodeSHA256 in $LATEST.`,
      );
    }
    return this.#published(latest.functionName, Description);
  }

  async listVersions(call: Call): Promise<object> {
    const { functionName } = await this.#latest(call);
    const versions = await this.#context.store.lambdas.listVersions(functionName);
    const paging = {
      scope: `versions/${functionName}`,
      names: LAMBDA_PAGES,
      keyOf: ({ version }: LambdaVersion) => version,
    };
    const { items, next } = await pageOf(call, paging, versions);
    return {
      Versions: items.map((item) => this.#describe(item, item.version)),
      ...(next === undefined ? {} : { NextMarker: next }),
    };
  }

  async delete(call: Call): Promise<undefined> {
    const wanted = functionNameOf(call, this.#context);
    const { name, qualifier } = wanted;
    const { lambdas } = this.#context.store;
    if (qualifier === LATEST) {
      throw refusal(
        'InvalidParameterValueException',
        '$LATEST version cannot be deleted without deleting the function.',
      );
    }
    if (!(await lambdas.find(name, qualifier ?? LATEST))) throw functionNotFound(this.#context, wanted);
    if (qualifier !== undefined) {
      const aliases = await lambdas.listAliases(name);
      const user = aliases.find(({ functionVersion }) => functionVersion === qualifier);
      if (user) {
        throw refusal(
          'ResourceConflictException',
          `Unable to delete version ${qualifier}: alias ${user.name} points to it.`,
        );
      }
    }
    await lambdas.delete(name, qualifier);
    return undefined;
  }

  async #withVersions(functions: readonly LambdaVersion[]): Promise<LambdaVersion[]> {
    const lists = await Promise.all(
      functions.map(({ functionName }) => this.#context.store.lambdas.listVersions(functionName)),
    );
    return lists.flat();
  }

  async #latest(call: Call, revisionId?: string): Promise<LambdaVersion> {
    const { name } = functionNameOf(call, this.#context);
    const latest = await findVersion(this.#context, { name });
    checkRevision(revisionId, latest.revisionId);
    return latest;
  }

  async #keepCode(zipFile: string | undefined) {
    if (!zipFile) {
      throw refusal(
        'InvalidParameterValueException',
        'Code must be given as ZipFile: this service has no S3 buckets and no images.',
      );
    }
    const zip = await readZip(zipFile);
    return { codeSha256Hex: await this.#context.artifacts.put(zip), codeSizeBytes: zip.length };
  }

  async #described(latest: LambdaVersion, isPublished = false): Promise<object> {
    return isPublished ? this.#published(latest.functionName) : this.#describe(latest);
  }

  async #published(functionName: string, description?: string): Promise<object> {
    const published = await this.#context.store.lambdas.publish(functionName, description);
    return this.#describe(published, published.version);
  }

  #describe(version: LambdaVersion, qualifier?: string): object {
    const hasVariables = Object.keys(version.environment).length > 0;
    return {
      FunctionName: version.functionName,
      FunctionArn: functionArn(this.#context, version.functionName, qualifier),
      Runtime: version.runtime,
      Role: version.role,
      Handler: version.handler,
      CodeSize: version.codeSizeBytes,
      Description: version.description,
      Timeout: version.timeoutS,
      MemorySize: version.memoryMb,
      LastModified: version.lastModified.replace(/Z$/, '+0000'),
      CodeSha256: base64(version.codeSha256Hex),
      Version: version.version,
      ...(hasVariables ? { Environment: { Variables: version.environment } } : {}),
      TracingConfig: { Mode: 'PassThrough' },
      RevisionId: version.revisionId,
      State: 'Active',
      LastUpdateStatus: 'Successful',
      PackageType: 'Zip',
    };
  }
}

/** Lambda's, where the request says nothing. */
const DEFAULTS = { description: '', timeoutS: 3, memoryMb: 128, environment: {} };

function stamp(): { revisionId: string; lastModified: string } {
  return { revisionId: randomUUID(), lastModified: new Date().toISOString() };
}

/** The version with what the request sets. */
function changed(version: LambdaVersion, body: Configuration): LambdaVersion {
  return {
    ...version,
    runtime: body.Runtime ?? version.runtime,
    role: body.Role ?? version.role,
    handler: body.Handler ?? version.handler,
    description: body.Description ?? version.description,
    timeoutS: body.Timeout ?? version.timeoutS,
    memoryMb: body.MemorySize ?? version.memoryMb,
    environment: body.Environment ? (body.Environment.Variables ?? {}) : version.environment,
  };
}

function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}
