/** Finds secrets as callers name them, and lets the changes of one go one after the other. */
import type { Exclusive } from '../store/exclusive.js';
import type { Secret, SecretStore } from '../store/secrets.js';
import { ApiError, refusal } from './errors.js';
import type { Call } from './operation.js';
import { isDue } from './secret-answers.js';

/** What the credentials of a group's role may read: the names that Greengrass' own managed policy allows. */
const ROLE_PREFIX = 'greengrass-';

export class SecretRegistry {
  constructor(
    private readonly secrets: SecretStore,
    private readonly exclusive: Exclusive,
  ) {}

  /** Runs `change` on the secret as it is then, alone. */
  async changing<T>(
    id: string,
    change: (secret: Secret) => Promise<T>,
    options: { evenIfDeleted?: boolean } = {},
  ): Promise<T> {
    const { arn } = await this.find(id, undefined, options);
    return this.exclusive.run(`secret ${arn}`, async () => change(await this.find(arn, undefined, options)));
  }

  /** Throws what Secrets Manager answers where there is no such secret, or it is not for the caller. */
  async find(id: string, call?: Call, { evenIfDeleted = false } = {}): Promise<Secret> {
    if (call?.principal.kind === 'groupRole' && !id.replace(/^arn:.*:secret:/, '').startsWith(ROLE_PREFIX)) {
      throw refusal(
        'AccessDeniedException',
        `User: ${call.principal.arn} is not authorized to read ${id}: a group's role reads secrets whose names begin with ${ROLE_PREFIX}`,
      );
    }
    const found = await this.lookUp(id);
    if (!found) throw notFound("Secrets Manager can't find the specified secret.");
    if (found.deletionAt !== undefined && !evenIfDeleted) {
      throw refusal(
        'InvalidRequestException',
        "You can't perform this operation on the secret because it was marked for deletion.",
      );
    }
    return found;
  }

  async lookUp(id: string): Promise<Secret | undefined> {
    return this.dropIfDue((await this.secrets.find(id)) ?? (await this.#findByPartialArn(id)));
  }

  /** A secret whose window has passed is gone, and its name is free. */
  async dropIfDue(secret: Secret | undefined): Promise<Secret | undefined> {
    if (!secret || !isDue(secret)) return secret;
    await this.secrets.delete(secret.arn);
    return undefined;
  }

  /** Secrets Manager keeps the day, which spares a write for each reading. */
  async noteAccess(secret: Secret): Promise<void> {
    const accessedAt = `${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`;
    if (secret.accessedAt !== accessedAt) await this.secrets.noteAccess(secret.arn, accessedAt);
  }

  /** The ARN without the hyphen and the six characters at its end, as users write it. */
  async #findByPartialArn(id: string): Promise<Secret | undefined> {
    const name = /^arn:aws[a-z-]*:secretsmanager:[^:]+:\d{12}:secret:(.+)$/.exec(id)?.[1];
    const found = name === undefined ? undefined : await this.secrets.find(name);
    return found?.arn.startsWith(`${id}-`) ? found : undefined;
  }
}

export function notFound(message: string): ApiError {
  return new ApiError(400, 'ResourceNotFoundException', message);
}
