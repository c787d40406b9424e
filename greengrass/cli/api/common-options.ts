/** The options that every API verb has beside its own. Used by the parser, the help and the completion. */
export interface CommonOption {
  readonly name: string;
  /** What stands after it, for the help; absent: a flag. */
  readonly value?: string;
  readonly help: string;
  readonly choices?: readonly string[];
  /** The value may be left out. */
  readonly optional?: true;
  /** Files complete it. */
  readonly file?: true;
}

export const OUTPUTS = ['json', 'table', 'text', 'yaml'] as const;
export type OutputName = (typeof OUTPUTS)[number];

export const COMMON_OPTIONS: readonly CommonOption[] = [
  { name: 'endpoint', value: 'URL', help: 'API of greengrass-cloud; also --endpoint-url, AWS_ENDPOINT_URL' },
  { name: 'endpoint-url', value: 'URL', help: 'the same, under its name in the command line of AWS' },
  { name: 'ready-file', value: 'FILE', help: 'what greengrass-cloud wrote when it was ready', file: true },
  { name: 'region', value: 'REGION', help: 'region of the account; also AWS_REGION, AWS_DEFAULT_REGION' },
  { name: 'profile', value: 'NAME', help: 'keys of this profile in ~/.aws; also AWS_PROFILE' },
  {
    name: 'output',
    value: 'FORMAT',
    help: 'how to print the answer; also AWS_DEFAULT_OUTPUT',
    choices: OUTPUTS,
  },
  { name: 'cli-input-json', value: 'JSON', help: 'the whole request; options overrule its members' },
  {
    name: 'generate-cli-skeleton',
    value: 'KIND',
    help: 'print a request to fill in (or an answer to expect), send nothing',
    choices: ['input', 'output'],
    optional: true,
  },
  { name: 'no-cli-pager', help: 'accepted, gg never pages the screen' },
  { name: 'help', help: 'this text' },
];

export const PAGING_OPTIONS: readonly CommonOption[] = [
  { name: 'no-paginate', help: 'one request, one page' },
  { name: 'max-items', value: 'N', help: 'end after so many items; NextToken says how to go on' },
  { name: 'starting-token', value: 'TOKEN', help: 'the NextToken of an answer that --max-items ended' },
  { name: 'page-size', value: 'N', help: 'items per request' },
];

/** AWS's options that gg leaves out, each with what to do instead. */
export const REFUSED_OPTIONS: ReadonlyMap<string, string> = new Map([
  ['query', 'gg prints the whole answer; pick from --output json with a tool such as jq'],
  ['cli-input-yaml', 'use --cli-input-json'],
  ['no-sign-request', 'gg signs every request; a cloud with --auth none takes any keys'],
  ['no-verify-ssl', 'trust the CA instead: NODE_EXTRA_CA_CERTS=FILE'],
  ['ca-bundle', 'use NODE_EXTRA_CA_CERTS=FILE'],
]);
