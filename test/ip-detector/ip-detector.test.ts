/** Which addresses of a core devices are told of, and when. */
import type { NetworkInterfaceInfo } from 'node:os';
import { hostAddresses, toldAddresses } from '../../greengrass/core/ip-detector/addresses.js';
import { IpDetector } from '../../greengrass/core/ip-detector/ip-detector.js';
import type { ConnectivityEndpoint } from '../../greengrass/core/service-client.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

const at = (address: string, internal = false) => ({ address, internal }) as NetworkInterfaceInfo;
const HOST = {
  lo: [at('127.0.0.1', true), at('::1', true)],
  docker0: [at('172.17.0.1')],
  'br-1f2e3d': [at('172.18.0.1')],
  veth12ab: [at('fe80::1')],
  eth0: [at('192.168.1.4'), at('fd00::2'), at('fe80::fc:ff:fe00:1')],
  wlan0: [at('169.254.7.7')],
};

describe('devices are told', () => {
  it('addresses of the network only', () => {
    expect(toldAddresses({}, HOST)).toEqual(['192.168.1.4', 'fd00::2']);
  });

  it.each([
    [{ loopback: true }, ['127.0.0.1', '::1', '192.168.1.4', 'fd00::2']],
    [{ containers: true }, ['172.17.0.1', '172.18.0.1', '192.168.1.4', 'fd00::2']],
    [{ linkLocal: true }, ['fe80::1', '192.168.1.4', 'fd00::2', 'fe80::fc:ff:fe00:1', '169.254.7.7']],
  ])('with %p others as well', (wanted, told) => expect(toldAddresses(wanted, HOST)).toEqual(told));

  it('loopback where the host has nothing else', () => {
    expect(toldAddresses({}, { lo: HOST.lo, docker0: HOST.docker0 })).toEqual(['127.0.0.1', '::1']);
  });

  it('ten at most, as the server certificate names', () => {
    const many = { eth0: Array.from({ length: 20 }, (_, n) => at(`10.0.0.${n}`)), lo: HOST.lo };
    expect([toldAddresses({}, many), hostAddresses(many)].map(({ length }) => length)).toEqual([10, 10]);
    expect(hostAddresses(HOST)).toEqual([
      '192.168.1.4',
      'fd00::2',
      '127.0.0.1',
      '::1',
      '172.17.0.1',
      '172.18.0.1',
    ]);
  });
});

describe('the detector', () => {
  let stored: ConnectivityEndpoint[];
  let uploads: number;
  let failing: boolean;
  let interfaces: Record<string, NetworkInterfaceInfo[]>;
  let detector: IpDetector;
  afterEach(() => detector.stop());
  beforeEach(() => {
    [stored, uploads, failing, interfaces] = [[], 0, false, { eth0: [at('10.0.0.1')] }];
    detector = new IpDetector({
      thingName: 'core',
      service: {
        connectivityInfo: async () => stored,
        updateConnectivityInfo: async (_thing, endpoints) => {
          if (failing) throw new Error('offline');
          uploads += 1;
          stored = [...endpoints];
        },
      },
      port: () => 8883,
      logger: silentLogger(),
      interfaces: () => interfaces,
    });
  });
  const hosts = () => stored.map(({ HostAddress }) => HostAddress);

  it('tells nothing without the function, and each change once with it', async () => {
    await detector.look();
    expect(uploads).toBe(0);
    detector.configure({});
    await detector.look();
    await detector.look();
    expect([uploads, stored]).toEqual([
      1,
      [{ Id: 'AUTOIP_10.0.0.1_0', HostAddress: '10.0.0.1', PortNumber: 8883, Metadata: '' }],
    ]);
    interfaces = { eth0: [at('10.0.0.2')] };
    await detector.look();
    expect([uploads, hosts()]).toEqual([2, ['10.0.0.2']]);
  });

  it('leaves what was entered by hand, first, also where it has the same address', async () => {
    stored = [
      { Id: 'gate', HostAddress: 'core.example', PortNumber: 443, Metadata: 'gate' },
      { Id: 'mine', HostAddress: '10.0.0.1', PortNumber: 9999, Metadata: '' },
      { Id: 'AUTOIP_10.9.9.9_0', HostAddress: '10.9.9.9', PortNumber: 8883, Metadata: '' },
    ];
    interfaces = { eth0: [at('10.0.0.1'), at('10.0.0.7')] };
    detector.configure({});
    await detector.look();
    expect(stored.map(({ HostAddress, PortNumber }) => [HostAddress, PortNumber])).toEqual([
      ['core.example', 443],
      ['10.0.0.1', 9999],
      ['10.0.0.7', 8883],
    ]);
  });

  it('looks anew where it is asked while it looks, and says when the cloud is told', async () => {
    void detector.look();
    detector.configure({});
    void detector.look();
    await detector.told();
    expect(hosts()).toEqual(['10.0.0.1']);
  });

  it('tries again by itself, and soon', async () => {
    await detector.start();
    failing = true;
    detector.configure({});
    await detector.look();
    expect(hosts()).toEqual([]);
    failing = false;
    await waitFor(() => hosts().length === 1, { what: 'the second attempt' });
  });

  it('tries again after a failure', async () => {
    failing = true;
    detector.configure({});
    await detector.look();
    failing = false;
    await detector.look();
    expect(hosts()).toEqual(['10.0.0.1']);
  });
});
