/** Content of definition versions, as the API's model has it. */
import type {
  CoreDefinitionVersion,
  FunctionDefinitionVersion,
  ResourceDefinitionVersion,
  SubscriptionDefinitionVersion,
} from '@aws-sdk/client-greengrass';
import { type Checked, shape } from './request-shapes.js';

export type FunctionContent = Checked<FunctionDefinitionVersion>;
export type SubscriptionContent = Checked<SubscriptionDefinitionVersion>;
export type ResourceContent = Checked<ResourceDefinitionVersion>;

export const coreContent = shape<CoreDefinitionVersion>('CoreDefinitionVersion');
