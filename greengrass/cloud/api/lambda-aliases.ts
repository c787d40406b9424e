/** Lambda: aliases of functions. */
import { randomUUID } from 'node:crypto';
import { CheckError, z } from '../../lib/check.js';
import type { LambdaAlias } from '../store/store.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { checkRevision, findVersion, functionArn, functionNameOf } from './lambda-names.js';
import type { Call, Operation } from './operation.js';
import { LAMBDA_PAGES, pageOf } from './paging.js';

const aliasName = z
  .string()
  .regex(/^(?!\d+$)[a-zA-Z0-9_-]{1,128}$/, 'must be letters, digits, _ and -, and no plain number');
const functionVersion = z.string().regex(/^(\$LATEST|\d{1,18})$/, 'must be $LATEST or a number');

const creation = z.object({
  Name: aliasName,
  FunctionVersion: functionVersion,
  Description: z.string().max(256).optional(),
});
const update = z.object({
  FunctionVersion: functionVersion.optional(),
  Description: z.string().max(256).optional(),
  RevisionId: z.string().optional(),
});

export function aliasOperations(context: ApiContext): Operation[] {
  const aliases = new Aliases(context);
  const all = '/2015-03-31/functions/:functionName/aliases';
  const one = `${all}/:aliasName`;
  return [
    { name: 'CreateAlias', method: 'POST', path: all, status: 201, handle: (call) => aliases.create(call) },
    { name: 'ListAliases', method: 'GET', path: all, handle: (call) => aliases.list(call) },
    { name: 'GetAlias', method: 'GET', path: one, handle: (call) => aliases.get(call) },
    { name: 'UpdateAlias', method: 'PUT', path: one, handle: (call) => aliases.update(call) },
    { name: 'DeleteAlias', method: 'DELETE', path: one, status: 204, handle: (call) => aliases.delete(call) },
  ];
}

class Aliases {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async create(call: Call): Promise<object> {
    const body = call.json(creation);
    const functionName = await this.#functionOf(call, body.FunctionVersion);
    const alias: LambdaAlias = {
      functionName,
      name: body.Name,
      functionVersion: body.FunctionVersion,
      description: body.Description ?? '',
      revisionId: randomUUID(),
    };
    try {
      await this.#context.store.lambdas.createAlias(alias);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      throw refusal('ResourceConflictException', `Alias already exists: ${this.#arnOf(alias)}`);
    }
    return this.#describe(alias);
  }

  async list(call: Call): Promise<object> {
    const functionName = await this.#functionOf(call);
    const version = call.query('FunctionVersion');
    const aliases = (await this.#context.store.lambdas.listAliases(functionName)).filter(
      (alias) => version === undefined || alias.functionVersion === version,
    );
    const paging = {
      scope: `aliases/${functionName}`,
      names: LAMBDA_PAGES,
      keyOf: ({ name }: LambdaAlias) => name,
    };
    const { items, next } = await pageOf(call, paging, aliases);
    return {
      Aliases: items.map((alias) => this.#describe(alias)),
      ...(next === undefined ? {} : { NextMarker: next }),
    };
  }

  async get(call: Call): Promise<object> {
    return this.#describe(await this.#find(call));
  }

  async update(call: Call): Promise<object> {
    const body = call.json(update);
    const alias = await this.#find(call);
    checkRevision(body.RevisionId, alias.revisionId);
    if (body.FunctionVersion !== undefined) await this.#functionOf(call, body.FunctionVersion);
    const updated: LambdaAlias = {
      ...alias,
      functionVersion: body.FunctionVersion ?? alias.functionVersion,
      description: body.Description ?? alias.description,
      revisionId: randomUUID(),
    };
    await this.#context.store.lambdas.updateAlias(updated);
    return this.#describe(updated);
  }

  /** An alias that does not exist is as good as deleted. */
  async delete(call: Call): Promise<undefined> {
    const functionName = await this.#functionOf(call);
    await this.#context.store.lambdas.deleteAlias(functionName, nameOf(call));
    return undefined;
  }

  async #find(call: Call): Promise<LambdaAlias> {
    const functionName = await this.#functionOf(call);
    const name = nameOf(call);
    const alias = await this.#context.store.lambdas.findAlias(functionName, name);
    if (alias) return alias;
    const arn = functionArn(this.#context, functionName, name);
    throw refusal('ResourceNotFoundException', `Cannot find alias arn: ${arn}`);
  }

  /** The function's name, once it (and the version, where one is given) is known to exist. */
  async #functionOf(call: Call, version?: string): Promise<string> {
    const { name } = functionNameOf(call, this.#context);
    await findVersion(this.#context, { name, ...(version === undefined ? {} : { qualifier: version }) });
    return name;
  }

  #arnOf({ functionName, name }: LambdaAlias): string {
    return functionArn(this.#context, functionName, name);
  }

  #describe(alias: LambdaAlias): object {
    return {
      AliasArn: this.#arnOf(alias),
      Name: alias.name,
      FunctionVersion: alias.functionVersion,
      Description: alias.description,
      RevisionId: alias.revisionId,
    };
  }
}

function nameOf(call: Call): string {
  const name = aliasName.safeParse(call.param('aliasName'));
  if (name.success) return name.data;
  throw new CheckError('1 validation error detected', [
    { path: 'Name', rule: 'is not the name of an alias' },
  ]);
}
