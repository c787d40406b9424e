/** What every core hides from its functions. */
import { hiddenPathsOf } from '../../greengrass/core/isolation/hidden-paths.js';

const root = '/greengrass';

it.each<[string, Parameters<typeof hiddenPathsOf>[1], string[]]>([
  [
    'everything in one place',
    { writeDirectory: '/greengrass/ggc', privateKeyPath: '/greengrass/certs/core.key' },
    ['/greengrass', '/greengrass/ggc'],
  ],
  [
    'a write directory and keys elsewhere',
    {
      writeDirectory: '/data/ggc',
      privateKeyPath: '/etc/keys/core.key',
      mqttServerKeyPath: '/etc/keys/server.key',
      secretsKeyPath: '/etc/keys/core.key',
    },
    ['/greengrass', '/data/ggc', '/etc/keys/core.key', '/etc/keys/server.key'],
  ],
  [
    "a folder whose name only begins like the core's",
    { writeDirectory: '/greengrass', privateKeyPath: '/greengrass-keys/core.key' },
    ['/greengrass', '/greengrass-keys/core.key'],
  ],
])('%s', (_what, config, expected) => {
  expect(hiddenPathsOf(root, config)).toEqual(expected);
});
