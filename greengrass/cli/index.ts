/** What gg can do, for programs. */
export { type BootstrapOptions, type BootstrappedCore, bootstrapCore } from './bootstrap.js';
export { type ClientOptions, type Clients, createClients } from './clients.js';
export { type DeploymentEnd, deployGroup, waitForDeployment } from './deployment.js';
export { type CreatedDevice, createDevice, type DeviceOptions } from './device.js';
export { changeGroup, findGroup, latestVersion } from './group.js';
export { type LambdaManifest, type PublishedLambda, publishLambda, readManifest } from './lambda.js';
export { packLambda } from './pack-lambda.js';
