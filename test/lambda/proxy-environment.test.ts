/** What functions learn of the core's network proxy: pure, and inside a worker. */
import { proxyEnvironment } from '../../greengrass/core/lambda/proxy-environment.js';
import { networkProxyOf, networkProxySchema } from '../../greengrass/model/network-proxy.js';
import { describeAsRoot } from '../support/as-root.js';
import { CORE_FACTS, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const proxyOf = (value: object) => networkProxyOf(networkProxySchema.parse(value));

describe('the proxy in the environment of functions', () => {
  it('is there in both cases, with credentials and exemptions, never for the door', () => {
    const proxy = proxyOf({
      noProxyAddresses: 'http://128.12.34.56,www.mywebsite.com, LOCALHOST',
      proxy: { url: 'https://my-proxy:1100', username: 'Mary Sofía', password: 'p@ss:1' },
    });
    const url = 'https://Mary%20Sof%C3%ADa:p%40ss%3A1@my-proxy:1100';
    const exempt = 'localhost,127.0.0.1,::1,128.12.34.56,www.mywebsite.com';
    expect(proxyEnvironment(proxy, {})).toEqual({
      http_proxy: url,
      HTTP_PROXY: url,
      https_proxy: url,
      HTTPS_PROXY: url,
      no_proxy: exempt,
      NO_PROXY: exempt,
    });
  });

  it("leaves the function's own in both cases, and the others alone", () => {
    const proxy = proxyOf({ proxy: { url: 'http://[fd00::1]' } });
    expect(proxyEnvironment(proxy, { HTTP_PROXY: 'mine', no_proxy: '' })).toEqual({
      https_proxy: 'http://[fd00::1]:80',
      HTTPS_PROXY: 'http://[fd00::1]:80',
    });
  });

  it('is not there without a proxy', () => {
    expect(proxyEnvironment(undefined, {})).toEqual({});
  });
});

describeAsRoot('a worker of a core behind a proxy', () => {
  it('sees it, and still reaches the core with clients that follow such variables', async () => {
    // Nobody listens there: what goes to the proxy fails.
    const networkProxy = proxyOf({ proxy: { url: 'http://127.0.0.1:9' } });
    const bench = await startFunctions({ facts: { ...CORE_FACTS, networkProxy } });
    try {
      const f = bench.define('f', {
        'main.py': `
import os, urllib.request
def handler(event, context):
    health = urllib.request.urlopen('http://localhost:%s/2016-11-01/health/workers' % os.environ['GG_DAEMON_PORT'])
    print('%s %s %d' % (os.environ['http_proxy'], os.environ['NO_PROXY'], health.status))
`,
      });
      await bench.deploy(f);
      bench.deliver(f, 't', '{}');
      const line = await waitFor(() => bench.entries[0], { timeoutMs: 30_000 });
      expect(line.message).toContain('http://127.0.0.1:9 localhost,127.0.0.1,::1 200');
    } finally {
      await bench.close();
    }
  });
});
