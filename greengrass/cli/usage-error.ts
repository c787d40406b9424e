/** The command line is wrong: the message names the option, the rule and what to do. No request was sent. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
