/** What is wrong with a group that can't be deployed. */
import type { GroupProblem } from '../../model/group-checks.js';

/** A group that can't be deployed, with all the reasons. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  constructor(readonly problems: readonly GroupProblem[]) {
    const models = problems.map(({ code, message }) => `ErrorModel(errorCode=${code}, errorMsg=${message})`);
    super(
      `We cannot deploy because the group definition is invalid or corrupted for the following reasons: {ErrorSet(errorSet=[${models.join(', ')}])}`,
    );
  }
}
