/** A process of its own that updates shadows as fast as it can and says what was accepted, until it is killed. */
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { silentLogger } from '../../greengrass/lib/log.js';

const path = process.argv[2] as string;
const service = new ShadowService({
  path,
  logger: silentLogger(),
  emit: ({ topic, payload }) => {
    if (!topic.endsWith('/update/accepted')) return;
    const { version } = JSON.parse(Buffer.from(payload).toString('utf8')) as { version: number };
    process.stdout.write(`${topic.split('/')[2]} ${version}\n`);
  },
});
await service.start();

async function write(thing: string): Promise<never> {
  for (let n = 1; ; n++) {
    await service.request(thing, 'update', Buffer.from(JSON.stringify({ state: { reported: { n } } })));
  }
}

await Promise.all(['a', 'b', 'c', 'd'].map(write));
