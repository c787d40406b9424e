/** The topics on which a thing asks for its jobs: `$aws/things/<thing>/jobs/…`. Pure. */

export type JobRequest =
  | { readonly kind: 'getPending' | 'startNext'; readonly thingName: string }
  /** `jobId` may be `$next`. */
  | { readonly kind: 'describe' | 'update'; readonly thingName: string; readonly jobId: string };

const TOPIC =
  /^\$aws\/things\/([a-zA-Z0-9:_-]{1,128})\/jobs\/(?:(get)|(start-next)|([a-zA-Z0-9_-]{1,64}|\$next)\/(get|update))$/;

/** The request that a publication on the topic is, or undefined where it is none. Answers' topics are none. */
export function parseJobTopic(topic: string): JobRequest | undefined {
  const match = TOPIC.exec(topic);
  if (!match) return undefined;
  const [, thingName = '', get, startNext, jobId = '', verb] = match;
  if (get !== undefined) return { kind: 'getPending', thingName };
  if (startNext !== undefined) return { kind: 'startNext', thingName };
  // Only what is named can be updated.
  if (verb === 'update' && jobId === '$next') return undefined;
  return { kind: verb === 'get' ? 'describe' : 'update', thingName, jobId };
}

/** Where AWS IoT tells a thing of its jobs by itself. */
export function notifyTopic(thingName: string, which: 'notify' | 'notify-next'): string {
  return `$aws/things/${thingName}/jobs/${which}`;
}
