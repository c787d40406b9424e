/** How an AWS API is described: operations with their routes, and the shapes of what goes in and comes out. */

export type ShapeType =
  | 'structure'
  | 'list'
  | 'map'
  | 'string'
  | 'integer'
  | 'long'
  | 'double'
  | 'boolean'
  | 'timestamp'
  | 'blob';

export interface MemberModel {
  readonly shape: string;
  /** Where it stands in the request; absent: in the JSON body. */
  readonly location?: 'uri' | 'querystring' | 'header';
  /** Its name there, also in the body where that is another than the member's. */
  readonly locationName?: string;
}

export interface ShapeModel {
  readonly type: ShapeType;
  /** Of a structure. */
  readonly members?: Readonly<Record<string, MemberModel>>;
  readonly required?: readonly string[];
  /** Shape of a list's items. */
  readonly member?: string;
  /** Shape of a map's values; keys are strings. */
  readonly value?: string;
  readonly enum?: readonly string[];
}

export interface OperationModel {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{Member}` for the members that stand in the path. */
  readonly path: string;
  readonly status: number;
  readonly input?: string;
  readonly output?: string;
}

export interface ApiModel {
  readonly operations: Readonly<Record<string, OperationModel>>;
  readonly shapes: Readonly<Record<string, ShapeModel>>;
}
